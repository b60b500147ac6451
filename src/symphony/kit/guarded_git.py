"""Runs git in an environment that neither a repository nor the user's settings can influence.

A repository's own configuration can name programs to run (filters, external diffs, hooks, monitors, remotes
that are fetched from lazily, and whatever later versions of git add), and a user's can change what git
prints. Therefore git is given a stand-in for the repository's folder: links to everything in it except
settings and hooks. Only settings that define how to interpret the files of the working tree are taken over;
see `_KEPT`.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from symphony.commons.cutting import beginning
from symphony.commons.environment import inherited
from symphony.kit.errors import GitFailed, GitMissing, InputRefused, NotARepository

FIND_TIMEOUT_S: Final = 60

_ARGV: Final = ("git", "--no-pager", "--literal-pathspecs")
_USER_SETTINGS: Final = ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM")
"""Where a user's settings lie: they are asked who is trusted and what is ignored."""

_PARTS: Final = (
    "HEAD", "info", "logs", "objects", "packed-refs", "refs", "reftable", "shallow", "worktrees"
)  # fmt: skip
"""What a repository consists of, as far as it is read."""

_KEPT: Final = frozenset(
    {
        "core.autocrlf",
        "core.eol",
        "core.excludesfile",
        "core.filemode",
        "core.ignorecase",
        "core.precomposeunicode",
        "core.sparsecheckout",
        "core.sparsecheckoutcone",
        "core.symlinks",
    }
)
"""Settings without which git would misread the working tree. None names a program."""

_FORMATS: Final = ("extensions.objectformat", "extensions.refstorage")
_FORMAT: Final = re.compile(r"[a-z0-9]{1,20}")
_PINNED: Final = (
    "core.quotePath=false",
    "core.attributesFile=/dev/null",
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "protocol.allow=never",
)


@dataclass(frozen=True, slots=True)
class GuardedGit:
    """One repository seen from `folder`. `argv` begins each call. It is valid until `opened` ends."""

    folder: Path
    top: Path | None
    argv: tuple[str, ...]
    env: Mapping[str, str]


@contextmanager
def opened(folder: Path) -> Iterator[GuardedGit]:
    """Open the repository that contains `folder`. Raises NotARepository, GitFailed, InputRefused."""
    with stand_in() as place:
        yield find(folder, place)


@contextmanager
def stand_in() -> Iterator[Path]:
    """Make an empty folder for `find` to fill. It is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="symphony-git-", ignore_cleanup_errors=True) as place:
        yield Path(place)


def find(folder: Path, place: Path) -> GuardedGit:
    """Find the repository that contains `folder`, and fill `place` for it. Blocks."""
    if not folder.is_dir():
        raise InputRefused(f"{folder} is not a folder", hint="give a folder inside a git repository")
    env = _plain()
    finder = _ARGV if _is_bare(folder) else (*_ARGV, "-c", "safe.bareRepository=explicit")
    directory = Path(_line(_asked(folder, (*finder, "rev-parse", "--absolute-git-dir"), env)))
    settings = _settings(_asked(folder, (*finder, "config", "--list", "-z"), env))
    try:
        top = Path(_line(_asked(folder, (*finder, "rev-parse", "--show-toplevel"), env)))
    except GitFailed:  # in a bare repository, or in git's own folder
        top = None
    if top is not None and not folder.resolve().is_relative_to(top):
        top = None  # `core.worktree` names a folder elsewhere, about which the repository says nothing
    _fill(place, _common(directory), settings, bare=top is None)
    pinned = [*_PINNED, *(f"{key}={settings[key]}" for key in sorted(_KEPT & settings.keys()))]
    env = {
        **_plain(),
        "GIT_DIR": os.fspath(directory),
        "GIT_COMMON_DIR": os.fspath(place),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_NO_LAZY_FETCH": "1",
    }
    if top is not None:
        env["GIT_WORK_TREE"] = os.fspath(top)
    return GuardedGit(folder, top, (*_ARGV, *(part for one in pinned for part in ("-c", one))), env)


def failure(folder: Path, said: str) -> GitFailed:
    """Return the error for what git printed to stderr."""
    text = " ".join(said.split()).removeprefix("fatal: ") or "no reason given"
    if "not a git repository" in said:
        return NotARepository(
            f"{folder} is in no git repository", hint="name a folder inside one, or run git init"
        )
    if "cannot use bare repository" in said:
        return NotARepository(
            f"{folder} is inside of a bare repository", hint="name the folder of the repository itself"
        )
    if "dubious ownership" in said:
        owned = re.search(r"dubious ownership in repository at '(.+?)'\s*$", said, re.MULTILINE)
        place = owned[1] if owned else str(folder)
        return GitFailed(
            f"{place} belongs to another user, so git refuses to read it",
            hint=f"if you trust it: git config --global --add safe.directory {place}",
        )
    if _LACKING.search(said):
        return GitFailed(
            f"the repository of {folder} lacks objects that it would have to fetch: {beginning(text, 300)}",
            hint="nothing is fetched here: run git fetch --refetch --no-filter in a terminal",
        )
    return GitFailed(f"git in {folder}: {beginning(text, 500)}", hint="run the same in a terminal")


_LACKING: Final = re.compile(
    r"unable to read|could not fetch|bad object|missing (?:blob|tree|object)|promisor"
)


def without_git(reason: str) -> GitMissing:
    """Return the error for a system where git cannot be started."""
    return GitMissing(f"git cannot be started: {reason}", hint="install git")


def _plain() -> dict[str, str]:
    """Return our environment without variables that redirect git or its programs.

    Hooks set such variables.
    """
    kept = {
        name: value
        for name, value in inherited().items()
        if not name.startswith("GIT_") or name in _USER_SETTINGS or name == "GIT_EXEC_PATH"
    }
    return {**kept, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}


def _asked(folder: Path, argv: tuple[str, ...], env: Mapping[str, str]) -> bytes:
    try:
        done = subprocess.run(
            argv, cwd=folder, env=env, capture_output=True, stdin=subprocess.DEVNULL,
            timeout=FIND_TIMEOUT_S, check=False,
        )  # fmt: skip
    except OSError as error:
        raise without_git(error.strerror or str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise GitFailed(f"git in {folder} gives no answer", hint="run git status there") from error
    if done.returncode != 0:
        raise failure(folder, done.stderr.decode("utf-8", "replace"))
    return done.stdout


def _line(said: bytes) -> str:
    return os.fsdecode(said.removesuffix(b"\n"))


def _settings(listing: bytes) -> dict[str, str]:
    """Return the last value of each setting of `git config --list -z`.

    A setting without a value means true.
    """
    found: dict[str, str] = {}
    for entry in listing.split(b"\0"):
        key, valued, value = entry.partition(b"\n")
        found[os.fsdecode(key)] = os.fsdecode(value) if valued else "true"
    return found


def _common(directory: Path) -> Path:
    """Return where a repository keeps what its working trees share."""
    try:
        shared = (directory / "commondir").read_bytes().strip(b"\r\n")
    except OSError:
        return directory
    return directory / os.fsdecode(shared)


def _is_bare(folder: Path) -> bool:
    """True if `folder` itself, not a parent of it, is a repository without a working tree."""
    return (
        (folder / "HEAD").is_file()
        and (folder / "objects").is_dir()
        and (folder / "refs").is_dir()
        and not (folder / ".git").exists()
    )


def _fill(place: Path, common: Path, settings: Mapping[str, str], *, bare: bool) -> None:
    formats = {key: settings[key] for key in _FORMATS if _FORMAT.fullmatch(settings.get(key, ""))}
    lines = ["[core]", f"repositoryFormatVersion = {int(bool(formats))}", f"bare = {str(bare).lower()}"]
    lines += ["[extensions]", *(f"{key.partition('.')[2]} = {value}" for key, value in formats.items())]
    (place / "config").write_text("\n".join(lines) + "\n", encoding="ascii")
    for name in _PARTS:
        part = common / name
        if part.exists() or part.is_symlink():
            (place / name).symlink_to(os.path.abspath(part))  # noqa: PTH100
