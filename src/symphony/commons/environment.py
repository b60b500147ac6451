"""Environment variables by what they are to a child process.

A workflow's listed variables and the keys of models are for the nodes that read them: other child
processes do not get them, except for names that every program expects to find.
"""

import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from symphony.commons.marks import present_marks

_VITAL: Final = frozenset({"PATH", "IFS", "ENV", "BASH_ENV", "SHELLOPTS"})
_LOADER: Final = ("LD_", "DYLD_")
_PLAIN: Final = frozenset({"HOME", "LANG", "USER", "SHELL", "TERM", "TMPDIR", "PWD"})


def variable_of(name: str) -> str:
    """The variable that a command's input of this name becomes."""
    return name.upper().replace("-", "_")


def is_vital(variable: str) -> bool:
    """Do the shell or the loader work by it, so that another value changes which code runs?"""
    return variable in _VITAL or variable.startswith(_LOADER)


def is_plain(variable: str) -> bool:
    """Does every program expect to find it, and is it never a secret?"""
    return variable in _PLAIN or variable.startswith("LC_")


def without(environment: Mapping[str, str], withheld: Collection[str]) -> dict[str, str]:
    """`environment` for a child process: `withheld` names are left out, unless programs need them."""
    gone = {name for name in withheld if not (is_vital(name) or is_plain(name))}
    return {name: value for name, value in environment.items() if name not in gone}


_withheld: ContextVar[frozenset[str]] = ContextVar("symphony_withheld", default=frozenset())


@contextmanager
def withholding(names: frozenset[str]) -> Iterator[None]:
    """While this is open, `inherited` leaves `names` out, in this task and in threads run in its context."""
    token = _withheld.set(names)
    try:
        yield
    finally:
        _withheld.reset(token)


def inherited() -> dict[str, str]:
    """This process's environment as a child process of the present node may have it, and the node's marks."""
    return {**without(os.environ, _withheld.get()), **present_marks()}
