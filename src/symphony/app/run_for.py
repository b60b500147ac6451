"""For whom a run is: its user, its project, and how urgent it is. Values and their defaults."""

import functools
import re
from pathlib import Path
from typing import Final

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.commons.settings import RunConfig
from symphony.commons.users import login_name

NAME_MAX: Final = 100
_NOT = r"\x00-\x1f\x7f\ud800-\udfff"  # surrogates: bytes that are no UTF-8
_NAME = re.compile(rf"[^\s{_NOT}](?:[^{_NOT}]{{0,{NAME_MAX - 2}}}[^\s{_NOT}])?")
PRIORITY_MAX: Final = 1_000


class RunForRefused(SymphonyError):
    """A user, a project or a priority that a run cannot have."""

    code = "run-for"


class RunFor(msgspec.Struct, frozen=True, kw_only=True):
    """For whom a run is. What is None follows from the settings, or stays as it was.

    The names decide who shares with whom what is scarce. They are no permissions, and nobody checks them.
    """

    user: str | None = None
    project: str | None = None
    priority: int | None = None

    def checked(self) -> "RunFor":
        """Return this. Raises RunForRefused."""
        for what, name in (("user", self.user), ("project", self.project)):
            if name is not None and _NAME.fullmatch(name) is None:
                raise RunForRefused(
                    f"{name[:NAME_MAX]!r} cannot be a run's {what}",
                    hint=f"use one line of 1 to {NAME_MAX} characters, without spaces at its ends",
                )
        if self.priority is not None and abs(self.priority) > PRIORITY_MAX:
            raise RunForRefused(
                f"{self.priority} cannot be a run's priority",
                hint=f"use a whole number from -{PRIORITY_MAX:,} to {PRIORITY_MAX:,}",
            )
        return self


ANYBODY: Final = RunFor()
"""Says nothing: everything is as usual, or stays as it was."""


def usual(config: RunConfig, home: Path | None, cwd: Path) -> tuple[str, str, int]:
    """Return the user, the project and the priority of a run that begins in `cwd` and says none of them.

    The project is the folder that the home `.symphony` lies in; with a home elsewhere, it is `cwd`.
    """
    folder = home.parent if home is not None and home.name == ".symphony" else cwd
    project = config.project or folder.name or str(folder)
    return _spelled(config.user or _login()), _spelled(project), config.priority


def unusual(user: str, project: str, priority: int, usual: tuple[str, str, int]) -> RunFor:
    """Return what of this is known and differs from what is `usual`."""
    return RunFor(
        user=user if user and user != usual[0] else None,
        project=project if project and project != usual[1] else None,
        priority=priority if priority != usual[2] else None,
    )


def _spelled(name: str) -> str:
    """Return the name of a user or folder, with bytes that are no UTF-8 written as `\\udcff`."""
    return name.encode("utf-8", "backslashreplace").decode()


@functools.cache
def _login() -> str:
    """Return the name of the user of this process; empty if it is not known."""
    return login_name() or ""
