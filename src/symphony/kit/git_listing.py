"""Lists what git tracks or would add below a folder, including submodules and nested repositories."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from symphony.commons.errors import SymphonyError
from symphony.kit import guarded_git
from symphony.kit.errors import GitFailed, NotARepository

_UNTRACKED = ("ls-files", "-z", "--others", "--exclude-standard")
_EVERYTHING = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
_TIMEOUT_S = 120


@dataclass(slots=True)
class Listing:
    """Names relative to the folder that was asked for, with `/`, as `os.fsdecode` returns them.

    `plain` has the folders whose contents git does not know. `problems` maps folders that git refuses to read
    to the reason; they are in `plain`, too.
    """

    names: list[str] = field(default_factory=list)
    plain: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)


def files_below(base: Path, looked_into: Callable[[str], bool]) -> Listing:
    """Return what git tracks or would add below `base`, including nested repositories.

    `looked_into` decides by name whether a nested repository is included. Blocks. Raises
    NotARepository, GitFailed for `base` itself.
    """
    return _listed(base, _EVERYTHING, looked_into)


def untracked_below(base: Path) -> Listing:
    """Return what git neither tracks nor ignores.

    A repository that it does not know counts with all its files.

    Blocks. Raises NotARepository, GitFailed.
    """
    return _listed(base, _UNTRACKED, lambda _: True)


def _listed(base: Path, first: tuple[str, ...], looked_into: Callable[[str], bool]) -> Listing:
    """List what `first` lists in the repository around `base`, and everything in nested repositories."""
    found = Listing()
    waiting = _add(found, base, "", _asked(base, first, nested=False), looked_into)
    while waiting:
        inside = waiting.pop()
        try:
            listing = _asked(base / inside, _EVERYTHING, nested=True)
        except NotARepository:
            found.plain.append(inside)
        except SymphonyError as error:
            found.plain.append(inside)
            found.problems.append((inside, f"{error.message}; what it ignores is listed, too"))
        else:
            waiting += _add(found, base, inside, listing, looked_into)
    return found


def _add(
    found: Listing, base: Path, inside: str, listing: bytes, looked_into: Callable[[str], bool]
) -> list[str]:
    """Add the names of one listing. Return those of the repositories in it."""
    repositories: list[str] = []
    for entry in dict.fromkeys(listing.split(b"\0")):
        if not entry:
            continue
        name = (f"{inside}/" if inside else "") + os.fsdecode(entry.rstrip(b"/"))
        path = os.path.join(base, name)  # noqa: PTH118
        if not os.path.isdir(path) or os.path.islink(path):  # noqa: PTH112, PTH114
            found.names.append(name)
        elif looked_into(name):  # a submodule, or a repository that this one does not track
            repositories.append(name)
    return repositories


def _asked(folder: Path, arguments: tuple[str, ...], *, nested: bool) -> bytes:
    """Return what git lists in `folder`. With `nested`, raises NotARepository if none begins there."""
    with guarded_git.opened(folder) as git:
        if git.top is None or (nested and os.fspath(git.top) != os.path.realpath(folder)):
            raise NotARepository(f"{folder} is not a working tree")
        try:
            done = subprocess.run(
                (*git.argv, *arguments), cwd=folder, env=git.env, capture_output=True,
                stdin=subprocess.DEVNULL, timeout=_TIMEOUT_S, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise GitFailed(f"git in {folder} gives no answer") from error
    if done.returncode != 0:
        raise guarded_git.failure(folder, done.stderr.decode("utf-8", "replace"))
    return done.stdout
