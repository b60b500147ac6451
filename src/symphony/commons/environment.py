"""Sorts environment variables by what they mean to a child process.

A workflow's listed variables and the keys of models are for the nodes that read them: other child
processes do not get them, except for names that every program expects to find.
"""

import os
from collections.abc import Collection, Mapping
from contextvars import ContextVar
from typing import Final

from symphony.commons.contexts import Setting
from symphony.commons.marks import present_marks

_VITAL: Final = frozenset({"PATH", "IFS", "ENV", "BASH_ENV", "SHELLOPTS"})
_LOADER: Final = ("LD_", "DYLD_")
_PLAIN: Final = frozenset({"HOME", "LANG", "USER", "SHELL", "TERM", "TMPDIR", "PWD"})
_LOADER_READS: Final = frozenset(
    {
        "LD_AUDIT", "LD_BIND_NOW", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_FALLBACK_FRAMEWORK_PATH",
        "DYLD_FALLBACK_LIBRARY_PATH", "DYLD_FRAMEWORK_PATH", "DYLD_INSERT_LIBRARIES", "DYLD_LIBRARY_PATH",
    }
)  # fmt: skip
_LOCALE: Final = frozenset(
    {
        "LC_ADDRESS", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_IDENTIFICATION", "LC_MEASUREMENT",
        "LC_MESSAGES", "LC_MONETARY", "LC_NAME", "LC_NUMERIC", "LC_PAPER", "LC_TELEPHONE", "LC_TIME",
    }
)  # fmt: skip


def variable_of(name: str) -> str:
    """Return the variable that a command's input of this name becomes."""
    return name.upper().replace("-", "_")


def is_vital(variable: str) -> bool:
    """True if the shell or the loader uses the variable, so that another value changes which code runs."""
    return variable in _VITAL or variable.startswith(_LOADER)


def is_plain(variable: str) -> bool:
    """True if common programs expect a meaning of their own in the variable."""
    return variable in _PLAIN or variable.startswith("LC_")


def is_needed(variable: str) -> bool:
    """True if programs need the variable, so that they get it, listed or not.

    Others whose names only begin like the loader's and the locale's, such as LD_SDK_KEY, may be
    secrets.
    """
    return variable in _VITAL or variable in _PLAIN or variable in _LOADER_READS or variable in _LOCALE


def without(environment: Mapping[str, str], withheld: Collection[str]) -> dict[str, str]:
    """Return `environment` for a child process: `withheld` names are left out, unless programs need them."""
    gone = {name for name in withheld if not is_needed(name)}
    return {name: value for name, value in environment.items() if name not in gone}


_withheld: ContextVar[frozenset[str]] = ContextVar("symphony_withheld", default=frozenset())


def withholding(names: frozenset[str]) -> Setting[frozenset[str]]:
    """Make `inherited` leave `names` out while this is open, in this task and in threads run in its
    context.
    """
    return Setting(_withheld, names)


def inherited() -> dict[str, str]:
    """Return the environment for a child process of the present node: this process's, with the node's
    marks.
    """
    return {**without(os.environ, _withheld.get()), **present_marks()}
