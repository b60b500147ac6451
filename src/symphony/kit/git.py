"""Operators that read a folder's git history and state: `git.*`. Nothing here changes a repository."""

import asyncio
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypedDict

from symphony.commons.errors import SymphonyError
from symphony.kit import repository
from symphony.kit.errors import GitFailed, InputRefused, NotARepository
from symphony.kit.git_listing import untracked_below
from symphony.kit.globbing import matcher
from symphony.kit.repository import Repository
from symphony.ports.values import Value
from symphony.sdk import Context, Glob, operator

_DATE = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2})?(Z|[+-]\d{2}:?\d{2})?)?")
_STATES = {"A": "added", "M": "modified", "D": "deleted", "R": "renamed", "C": "copied", "T": "modified"}


class Commit(TypedDict):
    """One commit. `at` is the author date, ISO 8601 in UTC."""

    id: str
    parents: list[str]
    author: str
    email: str
    at: str | None
    subject: str
    body: str


class Change(TypedDict):
    """One changed file. Line counts are null for binary files. `old_name` is set if it was renamed."""

    name: str
    path: str
    status: str
    old_name: str | None
    added: int | None
    deleted: int | None


class Churn(TypedDict):
    """How often one file changed. `last_change` is ISO 8601 in UTC."""

    name: str
    commits: int
    added: int
    deleted: int
    authors: int
    last_change: str | None


class GitTag(TypedDict):
    """One tag. `id` is the commit; `at` is when the tag was made, ISO 8601 in UTC."""

    name: str
    id: str
    at: str | None


class Tags(TypedDict):
    """The output of `git.tags`."""

    tags: list[GitTag]
    latest: str | None


class Log(TypedDict):
    """The output of `git.log`."""

    commits: list[Commit]


class Diff(TypedDict):
    """The output of `git.diff`."""

    text: str
    files: list[Change]


class ChangedFiles(TypedDict):
    """The output of `git.changed_files`."""

    paths: list[Path]
    files: list[Change]


class ChurnReport(TypedDict):
    """The output of `git.churn`."""

    files: list[Churn]
    commits: int
    complete: bool
    found: bool
    commit: str | None
    at: str | None


def _reads_revision(inputs: Mapping[str, Value], context: Context) -> str | None:
    """Return the commit as the cache key; None if dates are relative to now."""
    for name in ("since", "until"):
        moment = inputs.get(name)
        if isinstance(moment, str) and _DATE.fullmatch(moment) is None:
            return None
    ends = [str(inputs.get("revision") or "HEAD"), *([str(inputs["base"])] if inputs.get("base") else [])]
    with repository.opened_now(_folder(inputs, context)) as git:
        found = [None if git is None else git.commit(end) for end in ends]
    return None if None in found else "+".join(map(str, found))


def _reads_tags(inputs: Mapping[str, Value], context: Context) -> str | None:
    """Return all tags and the commit as the cache key."""
    with repository.opened_now(_folder(inputs, context)) as git:
        if git is None:
            return None
        listing = git.ask("for-each-ref", "refs/tags")
        start = git.commit(str(inputs.get("revision") or "HEAD"))
    return None if listing is None or start is None else f"{start}+{hashlib.sha256(listing).hexdigest()}"


def _reads_diff(inputs: Mapping[str, Value], context: Context) -> str | None:
    """Return the cache key of a diff: the folder, where its paths begin, and both commits.

    For the working tree, a digest of the differences takes the place of the second commit.
    """
    folder, head = _folder(inputs, context), inputs.get("head")
    with repository.opened_now(folder) as git:
        if git is None or (base := git.commit(str(inputs.get("base") or "HEAD"))) is None:
            return None
        if head is not None:
            other, attributes = git.commit(str(head)), git.attributes()
            return None if other is None or attributes is None else f"{folder}:{base}..{other}+{attributes}"
        changes = git.ask_diff(base.partition(":")[0])
    try:
        others = "\0".join(_untracked(folder))
    except SymphonyError:
        return None
    if changes is None:
        return None
    return f"{folder}:{base}+{hashlib.sha256(changes + others.encode()).hexdigest()}"


def _folder(inputs: Mapping[str, Value], context: Context) -> Path:
    return context.cwd / str(inputs.get("path") or ".")


@operator("git.log", version="1.1.0", reads=_reads_revision)
async def log(
    context: Context,
    path: Path = Path(),
    revision: str = "HEAD",
    limit: int = 100,
    since: str | None = None,
    until: str | None = None,
    base: str | None = None,
) -> Log:
    """List the commits that touch a folder, newest first.

    For the root of a repository all commits are listed, including merges and empty commits. For a folder
    inside it, only the commits that changed it are listed, without merges that only took over one side.

    path: a folder inside the repository
    revision: the branch, tag or commit to start from
    limit: the largest number of commits
    since: only later commits: a date such as 2024-01-31 (its beginning, in UTC), or words such as 2 weeks ago
    until: only earlier commits, given the same way
    base: a branch, tag or commit; its commits are left out
    commits: maps of id, parents, author, email, at, subject and body; empty before the first commit
    """
    async with repository.opened(context.cwd / path) as git:
        start = await git.commit(revision)
        if start is None or limit <= 0:
            return Log(commits=[])
        form = "--format=" + "%x00".join(("%H", "%P", "%an", "%ae", "%at", "%s", "%b"))
        ends = (start,) if base is None else (start, f"^{await git.commit(base) or start}")
        arguments = (form, f"--max-count={limit}", *_period(since, until), *ends, *git.limits())
        listing = await git.ask("log", "-z", "--encoding=UTF-8", *arguments)
    return await asyncio.to_thread(_logged, listing)


def _logged(listing: bytes) -> Log:
    fields = iter(repository.name_of(listing).split("\0"))
    return Log(
        commits=[
            Commit(
                id=number.strip(), parents=parents.split(), author=author, email=email,
                at=repository.moment(at), subject=subject, body=body.rstrip("\n"),
            )
            for number, parents, author, email, at, subject, body in zip(*[fields] * 7, strict=False)
        ]
    )  # fmt: skip


@operator("git.tags", version="1.0.0", reads=_reads_tags)
async def tags(context: Context, path: Path = Path(), revision: str = "HEAD", limit: int = 1_000) -> Tags:
    """List the tags whose commits a revision contains, the latest first.

    path: a folder inside the repository
    revision: the branch, tag or commit to start from
    limit: how many at most
    tags: maps of name, id and at
    latest: the name of the first tag; null if there is none
    """
    async with repository.opened(context.cwd / path) as git:
        start = await git.commit(revision)
        if start is None or limit <= 0:
            return Tags(tags=[], latest=None)
        form = f"--format={'%00'.join(_TAG_FIELDS)}"
        arguments = (form, f"--merged={start}", "--sort=-creatordate", f"--count={limit}", "refs/tags")
        listing = await git.ask("for-each-ref", *arguments)
        rows = [repository.name_of(line).split("\0") for line in listing.split(b"\n") if line]
        inner = [own for _, own, _, kind, _ in rows if kind == "tag"]  # tags that point to tags
        whole = [f"{own}^{{commit}}" for own in inner]
        found = (await git.ask("rev-parse", *whole)).split() if whole else []
    commits = {own: commit.decode() for own, commit in zip(inner, found, strict=False)}
    tags = [
        GitTag(name=name, id=commits.get(own) or once or own, at=repository.moment(at))
        for name, own, once, _, at in rows
    ]
    return Tags(tags=tags, latest=tags[0]["name"] if tags else None)


_TAG_FIELDS = (
    "%(refname:strip=2)",
    "%(objectname)",
    "%(*objectname)",
    "%(*objecttype)",
    "%(creatordate:unix)",
)


@operator("git.diff", version="1.0.0", reads=_reads_diff)
async def diff(
    context: Context,
    path: Path = Path(),
    base: str = "HEAD",
    head: str | None = None,
    paths: list[str] = [],  # noqa: B006
    lines: int = 3,
) -> Diff:
    """Compare two commits, or a commit and the working tree.

    Filters and drivers that the repository configures are not run. Git LFS files are therefore compared as
    pointers in commits, and with their content in the working tree.

    path: a folder inside the repository; the comparison is limited to it
    base: the commit to compare with
    head: the commit to compare; null for the working tree, without untracked files
    paths: names below the folder to limit it to
    lines: the number of unchanged lines around each change
    text: a unified diff; bytes that are not UTF-8 become U+FFFD
    files: maps of name, path, status, old_name, added and deleted
    """
    folder = context.cwd / path
    names = ("--", *(paths or (".",)))
    async with repository.opened(folder) as git:
        ends = await _ends(git, base, head)
        text = await git.ask_diff(f"--unified={max(lines, 0)}", *ends, *names)
        listing = await git.ask_diff("--raw", "--numstat", "-z", *ends, *names)
    return await asyncio.to_thread(
        lambda: Diff(text=text.decode("utf-8", "replace"), files=_changes(listing, folder))
    )


@operator("git.changed_files", version="1.0.0", reads=_reads_diff)
async def changed_files(
    context: Context,
    path: Path = Path(),
    base: str = "HEAD",
    head: str | None = None,
    untracked: bool = True,
) -> ChangedFiles:
    """List the files that differ between two commits, or a commit and the working tree.

    path: a folder inside the repository; only files below it are listed
    base: the commit to compare with
    head: the commit to compare; null for the working tree
    untracked: for the working tree, also list files that git neither tracks nor ignores
    paths: absolute paths of the files that still exist
    files: maps of name, path, status (added, modified, deleted, renamed, untracked), old_name,
        added and deleted
    """
    folder = context.cwd / path
    async with repository.opened(folder) as git:
        ends = await _ends(git, base, head)
        listing = await git.ask_diff("--raw", "--numstat", "-z", *ends, "--", ".")
    return await asyncio.to_thread(_changed, listing, folder, untracked=untracked and head is None)


def _changed(listing: bytes, folder: Path, *, untracked: bool) -> ChangedFiles:
    """Return the changes and which of the files exist.

    It checks each file, so it does not run on the loop.
    """
    files = _changes(listing, folder)
    if untracked:
        files += [_change(folder, name, "untracked") for name in _untracked(folder)]
    files.sort(key=lambda change: change["name"])
    there = [folder / change["name"] for change in files if change["status"] != "deleted"]
    return ChangedFiles(paths=[path for path in there if path.is_symlink() or not path.is_dir()], files=files)


@operator("git.churn", version="1.1.0", reads=_reads_revision)
async def churn(
    context: Context,
    path: Path = Path(),
    revision: str = "HEAD",
    since: str | None = None,
    max_commits: int = 100_000,
    patterns: list[Annotated[str, Glob()]] = [],  # noqa: B006
    limit: int = 100_000,
    gone: bool = False,
    missing_ok: bool = False,
) -> ChurnReport:
    """Count how often each file changed, the most changed first. A renamed file keeps its history.

    A merge counts through the commits that it merges. If git does not detect a rename, the file's history
    begins there. If a file was renamed on one branch and changed on another, its counts are approximate.

    path: a folder inside the repository; only files below it count
    revision: the branch, tag or commit to look at
    since: only later commits: a date such as 2024-01-31 (its beginning, in UTC), or words such as
        1 year ago
    max_commits: how many commits to look at, the newest first
    patterns: globs of the names to list; empty for all
    limit: the largest number of files
    gone: also list files that no longer exist
    missing_ok: return an empty result instead of an error if there is no repository or no git
    files: maps of name (relative to the folder), commits, added, deleted (lines), authors and
        last_change
    commits: how many commits were looked at
    complete: whether no older commits were left out
    found: whether there is a repository
    commit: the commit that the revision names; null if there is none yet
    at: when that commit was made
    """
    arguments = ("--format=%x01%ct%x1f%ae", f"--max-count={max_commits}", *_period(since, None))
    async with AsyncExitStack() as stack:
        try:
            git = await stack.enter_async_context(repository.opened(context.cwd / path))
            start = await git.commit(revision)
        except GitFailed:
            if not missing_ok:
                raise
            return ChurnReport(**{**_NO_CHURN, "found": False})
        if start is None:
            return _NO_CHURN
        at = (await git.ask("show", "--no-patch", "--format=%at", start)).decode("ascii", "replace")
        listing = await git.ask(*_NUMBERS, *arguments, start, "--", ".")
        tree = None if gone else await git.ask(*_tree(start))
    files, commits = await asyncio.to_thread(_churned, listing, tree, patterns, limit)
    return ChurnReport(
        files=files, commits=commits, complete=commits < max_commits, found=True, commit=start,
        at=repository.moment(at),
    )  # fmt: skip


_NO_CHURN = ChurnReport(files=[], commits=0, complete=True, found=True, commit=None, at=None)


def _churned(listing: bytes, tree: bytes | None, patterns: list[str], limit: int) -> tuple[list[Churn], int]:
    """Return the counts in a history, which may be long, and its commits.

    `tree` has the names that still exist.
    """
    history = _History()
    history.read(listing)
    there = None if tree is None else set(repository.names_of(tree))
    wanted = matcher(patterns)
    files = [
        counts.report(name)
        for name, counts in history.files.items()
        if (there is None or name in there) and (wanted is None or wanted.fullmatch(name))
    ]
    files.sort(key=lambda one: (-one["commits"], -one["added"] - one["deleted"], one["name"]))
    return files[: max(limit, 0)], history.commits


_NUMBERS = (
    "log", "--numstat", "-z", "--encoding=UTF-8", "--find-renames", "--relative", "--no-ext-diff",
    "--no-textconv",
)  # fmt: skip


def _tree(commit: str) -> tuple[str, ...]:
    return ("ls-tree", "-r", "-z", "--name-only", commit, "--", ".")


def _period(since: str | None, until: str | None) -> list[str]:
    return [f"--{name}={_moment(value)}" for name, value in (("since", since), ("until", until)) if value]


def _moment(text: str) -> str:
    """Return a complete date in UTC.

    Git would fill in the time of day from the clock and use the local zone.
    """
    date = _DATE.fullmatch(text)
    if date is None:
        return text
    day, minutes, seconds, zone = date.groups()
    return f"{day}T{minutes or '00:00'}{seconds or ':00'}{zone or 'Z'}"


def _untracked(folder: Path) -> list[str]:
    """Return the display names of files that git neither tracks nor ignores."""
    return [repository.name_of(os.fsencode(name)) for name in untracked_below(folder).names]


async def _ends(git: Repository, base: str, head: str | None) -> tuple[str, ...]:
    first = await git.commit(base) or await git.empty_tree()
    if head is None and git.git.top is None:
        raise NotARepository(
            f"{git.folder} is not a working tree", hint="say `head`: two commits are compared"
        )
    if head is None:
        return (first,)
    second = await git.commit(head)
    if second is None:
        raise InputRefused(
            f"{git.folder} has no commits yet", hint="leave head out to compare the working tree"
        )
    return first, second


def _changes(listing: bytes, folder: Path) -> list[Change]:
    """Parse the output of `git diff --raw --numstat -z`: first the states, then the counts."""
    tokens = iter(listing.split(b"\0"))
    changes: dict[str, Change] = {}
    for token in tokens:
        if token.startswith(b":"):
            state = token.rsplit(b" ", 1)[-1][:1].decode()
            name = repository.name_of(next(tokens))
            old = name if state in "RC" else None
            name = repository.name_of(next(tokens)) if old is not None else name
            changes[name] = _change(folder, name, _STATES.get(state, "modified"), old)
        elif token.strip():
            added, deleted, name, _ = _counts(token, tokens)
            if name in changes:
                changes[name]["added"], changes[name]["deleted"] = added, deleted
    return list(changes.values())


def _change(folder: Path, name: str, status: str, old_name: str | None = None) -> Change:
    return Change(
        name=name, path=str(folder / name), status=status, old_name=old_name, added=None, deleted=None
    )


def _counts(token: bytes, rest: Iterator[bytes]) -> tuple[int | None, int | None, str, str | None]:
    """Return lines added and deleted (None for binary), name, and old name of one `--numstat -z` entry."""
    added, deleted, name = token.strip(b"\n").split(b"\t", 2)
    old = None
    if not name:  # a rename: both names follow
        old = repository.name_of(next(rest))
        name = next(rest)
    lines = [None if count == b"-" else int(count) for count in (added, deleted)]
    return lines[0], lines[1], repository.name_of(name), old


@dataclass(slots=True)
class _Counts:
    commits: int = 0
    added: int = 0
    deleted: int = 0
    authors: set[bytes] = field(default_factory=set)
    last_change: str | None = None

    def report(self, name: str) -> Churn:
        return Churn(
            name=name,
            commits=self.commits,
            added=self.added,
            deleted=self.deleted,
            authors=len(self.authors),
            last_change=self.last_change,
        )


@dataclass(slots=True)
class _History:
    """Counts by the newest name of each file. `newest` maps earlier names to it."""

    commits: int = 0
    files: dict[str, _Counts] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)

    def read(self, listing: bytes) -> None:
        """Read the output of `git log --numstat -z`, newest commit first."""
        tokens = iter(listing.split(b"\0"))
        at, author = b"", b""
        for token in tokens:
            if token.startswith(b"\x01"):
                at, _, author = token[1:].partition(b"\x1f")
                self.commits += 1
            elif token.strip(b"\n"):
                self._count(_counts(token, tokens), at, author)

    def _count(self, entry: tuple[int | None, int | None, str, str | None], at: bytes, author: bytes) -> None:
        added, deleted, name, old = entry
        name = self.newest.get(name, name)
        if old is not None:
            self.newest[old] = name
        counts = self.files.setdefault(name, _Counts())
        counts.commits += 1
        counts.added += added or 0
        counts.deleted += deleted or 0
        counts.authors.add(author)
        if counts.last_change is None:
            counts.last_change = repository.moment(at.decode())
