"""Asks git of one repository, for the operators. Nothing that a repository says runs a program."""

import asyncio
import hashlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import read_bounded
from symphony.kit import guarded_git
from symphony.kit.errors import CommandNotStarted, GitFailed, InputRefused
from symphony.kit.guarded_git import GuardedGit
from symphony.kit.processes import run_process

OUTPUT_BYTES_MAX = 256 * 1024 * 1024

_DIFF = (
    "diff",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--find-renames",
    "--relative",
    "--ignore-submodules=dirty",
)
_ATTRIBUTES = ".gitattributes"
_ATTRIBUTES_BYTES_MAX = 100 * 1024 * 1024
_READS_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository seen from one folder. Its methods raise GitFailed and OutputTooLarge."""

    git: GuardedGit

    @property
    def folder(self) -> Path:
        """The folder that the repository is seen from: names are relative to it."""
        return self.git.folder

    async def ask(self, *arguments: str) -> bytes:
        """Return what git prints."""
        try:
            done = await run_process(
                (*self.git.argv, *arguments), cwd=self.folder, env=self.git.env,
                output_bytes_max=OUTPUT_BYTES_MAX,
            )  # fmt: skip
        except CommandNotStarted as error:
            raise guarded_git.without_git(error.message) from error
        if done.exit_code != 0:
            raise guarded_git.failure(self.folder, done.stderr.decode("utf-8", "replace"))
        return done.stdout

    async def ask_diff(self, *arguments: str) -> bytes:
        """Return what `git diff` prints."""
        return await self.ask(*_DIFF, *arguments)

    async def commit(self, revision: str) -> str | None:
        """Return the commit that `revision` names; None for HEAD of a repository without commits."""
        check_revision(revision)
        try:
            found = await self.ask("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        except GitFailed:
            if revision == "HEAD":
                return None
            raise InputRefused(
                f"{self.folder} has no revision {revision!r}", hint="see git branch, git log"
            ) from None
        return found.decode().strip()

    def limits(self) -> tuple[str, ...]:
        """Return what limits a history to the folder; nothing for a whole repository.

        With a path git compares the trees of each commit with its parents', which takes several times
        as long as listing them.
        """
        top = self.git.top
        return () if top is None or os.path.realpath(self.folder) == os.fspath(top) else ("--", ".")

    async def empty_tree(self) -> str:
        """git's name for a tree without files, which is what comes before the first commit."""
        return (await self.ask("hash-object", "-t", "tree", os.devnull)).decode().strip()


@dataclass(frozen=True, slots=True)
class RepositoryNow:
    """A repository seen from one folder, for `reads`: its methods block and give None for every error."""

    git: GuardedGit

    def ask(self, *arguments: str) -> bytes | None:
        """Return what git prints."""
        try:
            done = subprocess.run(
                (*self.git.argv, *arguments), cwd=self.git.folder, env=self.git.env, capture_output=True,
                stdin=subprocess.DEVNULL, timeout=_READS_TIMEOUT_S, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout if done.returncode == 0 else None

    def ask_diff(self, *arguments: str) -> bytes | None:
        """Return what `git diff` prints."""
        return self.ask(*_DIFF, *arguments)

    def commit(self, revision: str) -> str | None:
        """Return the commit that `revision` names, where the folder lies, and what bends history as git
        tells it.
        """
        if revision.startswith("-"):
            return None
        found = self.ask("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        place = self.ask("rev-parse", "--show-prefix")
        replaced = self.ask("for-each-ref", "refs/replace")
        if found is None or place is None or replaced is None:
            return None
        bent = replaced + b"".join(map(self._part, ("shallow", "info/grafts", "info/attributes")))
        return f"{found.decode().strip()}:{name_of(place)}:{hashlib.sha256(bent).hexdigest()}"

    def attributes(self) -> str | None:
        """Return a digest of the files that say how to compare: tracked ones below the folder, and
        those above.
        """
        listing = self.ask("ls-files", "-z")
        if listing is None:
            return None
        folder, top = self.git.folder.resolve(), self.git.top
        above = [one for one in (folder, *folder.parents) if top is not None and one.is_relative_to(top)]
        below = [os.fsdecode(name) for name in listing.split(b"\0") if name.endswith(_ATTRIBUTES.encode())]
        seen = hashlib.sha256()
        for place in dict.fromkeys(
            [*(one / _ATTRIBUTES for one in above), *(folder / name for name in below)]
        ):
            body = b""
            with suppress(SymphonyError):
                if not place.is_symlink():  # git follows none here
                    body = read_bounded(place, _ATTRIBUTES_BYTES_MAX)
            seen.update(hashlib.sha256(os.fsencode(place) + b"\0" + body).digest())
        return seen.hexdigest()

    def _part(self, name: str) -> bytes:
        """Return a file of the repository; empty if it is not there."""
        try:
            body = (Path(self.git.env["GIT_COMMON_DIR"]) / name).read_bytes()
        except OSError:
            body = b""
        return len(body).to_bytes(8, "big") + body


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Repository]:
    """The repository that `folder` lies in. Raises NotARepository, GitFailed, InputRefused."""
    with guarded_git.stand_in() as place:
        yield Repository(await asyncio.to_thread(guarded_git.find, folder, place))


@contextmanager
def opened_now(folder: Path) -> Iterator[RepositoryNow | None]:
    """Yield the repository that `folder` lies in; None where there is none that can be read. Blocks."""
    with guarded_git.stand_in() as place:
        try:
            found = RepositoryNow(guarded_git.find(folder, place))
        except SymphonyError:
            found = None
        yield found


def check_revision(revision: str) -> None:
    """Raise InputRefused for what git would take for an option."""
    if not revision or revision.startswith("-") or "\0" in revision or "\n" in revision:
        raise InputRefused(f"{revision!r} is not a revision", hint="give a branch, tag or commit")


def names_of(listing: bytes) -> list[str]:
    """Return the names in a listing that separates them by null characters."""
    return [name_of(name) for name in listing.split(b"\0") if name]


def name_of(name: bytes) -> str:
    """Return a file name as text; what is not UTF-8 in it becomes U+FFFD."""
    return name.decode("utf-8", "replace")


def moment(seconds: str) -> str | None:
    """Return a time that git gives in seconds as ISO 8601 in UTC; None if it is out of range."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None
