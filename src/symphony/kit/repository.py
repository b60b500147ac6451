"""Asks git, without letting the repository's own settings run programs or change the answer."""

import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from symphony.commons.environment import inherited
from symphony.kit.errors import CommandNotStarted, GitFailed, InputRefused, NotARepository
from symphony.kit.processes import run_process

OUTPUT_BYTES_MAX = 256 * 1024 * 1024

_SAFE = (
    "git", "--no-pager", "--literal-pathspecs",
    "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "log.showSignature=false",
    "-c", "core.quotePath=false", "-c", "diff.external=", "-c", "diff.noprefix=false",
    "-c", "diff.mnemonicPrefix=false",
)  # fmt: skip
_DIFF_FLAGS = (
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--find-renames",
    "--relative",
    "--ignore-submodules=dirty",
)
_READS_TIMEOUT_S = 60


async def ask(folder: Path, *arguments: str) -> bytes:
    """What git prints. Raises NotARepository, GitFailed, OutputTooLarge."""
    _check(folder)
    try:
        done = await run_process(
            (*_SAFE, *arguments), cwd=folder, env=_environment(), output_bytes_max=OUTPUT_BYTES_MAX
        )
    except CommandNotStarted as error:
        raise GitFailed(f"git cannot be started: {error.message}", hint="install git") from error
    if done.exit_code != 0:
        raise failure(folder, done.stderr.decode("utf-8", "replace"))
    return done.stdout


async def ask_diff(folder: Path, *arguments: str) -> bytes:
    """What `git diff` prints; names are relative to `folder`."""
    return await ask(folder, "diff", *_DIFF_FLAGS, *arguments)


async def commit(folder: Path, revision: str) -> str | None:
    """The commit that `revision` names; None for HEAD of a repository without commits."""
    check_revision(revision)
    await ask(folder, "rev-parse", "--git-dir")
    try:
        found = await ask(folder, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    except GitFailed:
        if revision == "HEAD":
            return None
        raise InputRefused(f"{folder} has no revision {revision!r}", hint="see git branch, git log") from None
    return found.decode().strip()


async def empty_tree(folder: Path) -> str:
    """git's name for a tree without files, which is what comes before the first commit."""
    return (await ask(folder, "hash-object", "-t", "tree", os.devnull)).decode().strip()


def ask_now(folder: Path, *arguments: str) -> bytes | None:
    """Like `ask`, blocking, with None in place of every error: for `reads`."""
    try:
        done = subprocess.run(
            (*_SAFE, *arguments), cwd=folder, env=_environment(), capture_output=True,
            stdin=subprocess.DEVNULL, timeout=_READS_TIMEOUT_S, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def commit_now(folder: Path, revision: str) -> str | None:
    """The commit that `revision` names, with where `folder` lies in the repository; for `reads`."""
    if revision.startswith("-"):
        return None
    found = ask_now(folder, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    place = ask_now(folder, "rev-parse", "--is-shallow-repository", "--show-prefix")
    return None if found is None or place is None else f"{found.decode().strip()}:{name_of(place)}"


def diff_now(folder: Path, *arguments: str) -> bytes | None:
    """Like `ask_diff`, for `reads`."""
    return ask_now(folder, "diff", *_DIFF_FLAGS, *arguments)


def check_revision(revision: str) -> None:
    """Raise InputRefused for what git would take for an option."""
    if not revision or revision.startswith("-") or "\0" in revision or "\n" in revision:
        raise InputRefused(f"{revision!r} is no revision", hint="give a branch, tag or commit")


def failure(folder: Path, said: str) -> GitFailed:
    """The error for what git printed to stderr."""
    text = " ".join(said.split()) or "no reason given"
    if "not a git repository" in said:
        return NotARepository(
            f"{folder} is in no git repository", hint="name a folder inside one, or run git init"
        )
    if "dubious ownership" in said:
        hint = f"git config --global --add safe.directory {folder}"
        return GitFailed(f"{folder} belongs to another user, so git refuses to read it", hint=hint)
    return GitFailed(
        f"git in {folder}: {text.removeprefix('fatal: ')[:500]}", hint="run the same in a terminal"
    )


def names_of(listing: bytes) -> list[str]:
    """The names in a listing that separates them by null characters."""
    return [name_of(name) for name in listing.split(b"\0") if name]


def name_of(name: bytes) -> str:
    """A file name as text; what is not UTF-8 in it becomes U+FFFD."""
    return name.decode("utf-8", "replace")


def moment(seconds: str) -> str | None:
    """ISO 8601, UTC, of what git says in seconds; None where a commit's clock was out of range."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None


def _check(folder: Path) -> None:
    if not folder.is_dir():
        raise InputRefused(f"{folder} is no folder", hint="give a folder inside a git repository")


def _environment() -> Mapping[str, str]:
    """Ours without what git's hooks set, which would point it at another repository."""
    kept = {k: v for k, v in inherited().items() if not k.startswith("GIT_")}
    for name in (
        "GIT_SSH_COMMAND",
        "GIT_CONFIG_GLOBAL",
        "GIT_CONFIG_SYSTEM",
        "GIT_CONFIG_NOSYSTEM",
        "GIT_EXEC_PATH",
    ):
        if name in os.environ:
            kept[name] = os.environ[name]
    return {**kept, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0"}
