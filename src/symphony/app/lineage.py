"""What an artifact was made of, and what was made of it: trees through values, workflows and parents.

The index tells which artifact was the value of an input. Where an input was none, such as a text with an
artifact inside, the workflow of the run tells which artifacts its nodes had made before.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Final, Literal, TypeAlias

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.ports.artifacts import (
    ArtifactMissing,
    ArtifactRecord,
    ArtifactStore,
    ArtifactVersion,
    Derivation,
    Provenance,
)
from symphony.ports.values import Digest

ARTIFACTS_MAX: Final = 200
"""The most artifacts in one tree."""
_BESIDE_MAX: Final = 20
_RUNS_MAX: Final = 20
_LEVEL: Final = re.compile(r"[.\[#]")

Reads: TypeAlias = Mapping[str, frozenset[str]]
"""By node of a workflow, the nodes that its inputs read."""
ReadsOf: TypeAlias = Callable[[str], Reads | None]
"""Gives the `Reads` of a run's workflow; None if the run is not known any more."""


class LineageLink(msgspec.Struct, frozen=True, kw_only=True):
    """Why one artifact is under another: it was the `input` of a node, came `before` it in the workflow of a
    run, or a person said that it was a `parent`. `names` are those of the inputs.
    """

    kind: Literal["input", "before", "parent"]
    names: Sequence[str] = ()
    by: Provenance | None = None


class LineageArtifact(msgspec.Struct, kw_only=True):
    """One artifact in a tree. `made` says how, once for each way, with how many more runs made it so.

    `under` are those it was made of, or those made of it. `shown`: they are under the same artifact elsewhere
    in the tree. `more`: there are others, which the depth or the size of the tree leaves out.
    """

    digest: Digest
    record: ArtifactRecord | None = None
    version: ArtifactVersion | None = None
    made: list[tuple[Provenance, int]] = []
    under: list[tuple[LineageLink, "LineageArtifact"]] = []
    values: set[str] = set()
    """The digests of the values of inputs that are no artifact."""
    shown: bool = False
    more: bool = False


class Lineage:
    """Makes trees. Not thread-safe. Errors as those of the store."""

    def __init__(self, store: ArtifactStore, reads_of: ReadsOf) -> None:
        self._store = store
        self._reads_of = cache(reads_of)
        self._seen: set[Digest] = set()

    def up(self, record: ArtifactRecord, depth: int) -> LineageArtifact:
        """Return the tree of what an artifact was made of, down to `depth` steps."""
        return self._tree(record, depth, self._sources)

    def down(self, record: ArtifactRecord, depth: int) -> LineageArtifact:
        """Return the tree of what was made of an artifact."""
        return self._tree(record, depth, self._derived)

    def _tree(
        self,
        record: ArtifactRecord,
        depth: int,
        grow: Callable[[LineageArtifact], Iterator[tuple[LineageLink, Digest]]],
    ) -> LineageArtifact:
        """Grow a tree level by level, so that a bound leaves out what is farthest."""
        self._seen = {record.digest}
        root = self._artifact(record.digest, record)
        level = [root]
        for _ in range(depth):
            below = list[LineageArtifact]()
            for one in level:
                for link, digest in grow(one):
                    again = digest in self._seen
                    if not again and len(self._seen) >= ARTIFACTS_MAX:
                        one.more = True
                        continue
                    child = self._artifact(digest)
                    child.shown = again
                    one.under.append((link, child))
                    self._seen.add(digest)
                    if not again:
                        below.append(child)
            level = below
        for one in level:
            one.more = one.more or next(grow(one), None) is not None
        return root

    def _artifact(self, digest: Digest, record: ArtifactRecord | None = None) -> LineageArtifact:
        if record is None:
            try:
                record = self._store.find(digest)
            except ArtifactMissing:  # it was deleted
                record = None
        version = None if record is None else record.version
        if version is None:
            version = next(iter(self._store.versions_of(digest, limit=1)), None)
        found = LineageArtifact(
            digest=digest, record=record, version=version, made=[], under=[], values=set()
        )
        if record is not None:
            found.made = _ways(record.provenance)
        return found

    # -- what it was made of

    def _sources(self, of: LineageArtifact) -> Iterator[tuple[LineageLink, Digest]]:
        direct = set[Digest]()
        for by, _ in of.made[:_BESIDE_MAX]:
            values = False
            for name, value in by.inputs.items():
                sources = [one for one in self._store.sources(value) if one != of.digest][:_BESIDE_MAX]
                if not sources:
                    values = True
                    of.values.add(value)
                for digest in self._likely(sources, by.run_id):
                    direct.add(digest)
                    yield LineageLink(kind="input", names=(name,), by=by), digest
            if values or not by.inputs:
                for digest in self._before(by, direct | {of.digest}):
                    yield LineageLink(kind="before", by=by), digest
        parents = () if of.version is None else of.version.parents
        yield from ((LineageLink(kind="parent"), parent) for parent in parents)

    def _likely(self, sources: Sequence[Digest], run_id: str) -> Sequence[Digest]:
        """Return those of several bodies with one value that the run itself refers to, if there are any."""
        if len(sources) < 2:
            return sources
        own = [digest for digest in sources if self._is_of(digest, run_id)]
        return own or sources[:1]

    def _is_of(self, digest: Digest, run_id: str) -> bool:
        try:
            return any(by.run_id == run_id for by in self._store.find(digest).provenance)
        except ArtifactMissing:
            return False

    def _before(self, by: Provenance, without: set[Digest]) -> list[Digest]:
        """Return what the nodes before one have made in its run: of each way back the nearest."""
        reads = self._reads_of(by.run_id)
        return [] if reads is None else self._nearest(by, reads, without)

    def _nearest(self, by: Provenance, links: Reads, without: set[Digest]) -> list[Digest]:
        made = self._made(by.run_id)
        found, todo = dict[Digest, None](), sorted(links.get(_level(by.node), ()))
        done = {_level(by.node)}
        while todo:
            node = todo.pop(0)
            if node in done:
                continue
            done.add(node)
            if node in made:
                found.update(dict.fromkeys(digest for digest in made[node] if digest not in without))
            else:
                todo += sorted(links.get(node, ()))
        return list(found)[:_BESIDE_MAX]

    @cache  # noqa: B019  # lives as long as one command
    def _made(self, run_id: str) -> Mapping[str, list[Digest]]:
        """Return by node of the workflow what a run has made there."""
        found = dict[str, list[Digest]]()
        for one in self._store.made_by(run_id):
            if one.by is not None and one.by.node:
                found.setdefault(_level(one.by.node), []).append(one.digest)
        return found

    # -- what was made of it

    def _derived(self, of: LineageArtifact) -> Iterator[tuple[LineageLink, Digest]]:
        ways = dict[tuple[Digest, str], Derivation]()
        for one in self._store.derived(of.digest, limit=ARTIFACTS_MAX):
            if one.digest != of.digest:
                ways.setdefault((one.digest, "" if one.by is None else one.by.operator), one)
        for one in ways.values():
            kind: Literal["input", "parent"] = "parent" if one.by is None else "input"
            yield LineageLink(kind=kind, names=one.inputs, by=one.by), one.digest
        direct = {digest for digest, _ in ways} | {of.digest}
        for by, _ in of.made[:_RUNS_MAX]:
            reads = self._reads_of(by.run_id)
            if reads is not None:
                for digest in self._nearest(by, _turned(reads), direct):
                    direct.add(digest)
                    made = next(
                        (o for o in self._store.find(digest).provenance if o.run_id == by.run_id), None
                    )
                    yield LineageLink(kind="before", by=made), digest


def _ways(provenance: Sequence[Provenance]) -> list[tuple[Provenance, int]]:
    """Return the ways in which a body was made, each once, with how many more runs did.

    That it became the output of a workflow, or was reused, is left out if it is known how it was made.
    """
    known = [by for by in provenance if by.operator not in ("", "output")] or provenance
    found = dict[bytes, tuple[Provenance, int]]()
    encode = msgspec.msgpack.Encoder(order="sorted").encode
    for by in known:
        key = encode(
            [by.operator, by.version, by.model, by.node, by.port, dict(by.inputs), dict(by.parameters)]
        )
        first, more = found.get(key, (by, -1))
        found[key] = first, more + 1
    return list(found.values())


def _level(node: str) -> str:
    """Return the node of the workflow itself that a step is, or is inside of."""
    return _LEVEL.split(node, maxsplit=1)[0]


def _turned(reads: Reads) -> Reads:
    """Return by node those that read it."""
    found = dict[str, set[str]]()
    for node, sources in reads.items():
        for source in sources:
            found.setdefault(source, set()).add(node)
    return {node: frozenset(others) for node, others in found.items()}


def reads_of(recorded: Callable[[str], object]) -> ReadsOf:
    """Return what gives the reads of a run, whose workflow `recorded` gives."""

    def found(run_id: str) -> Reads | None:
        from symphony.workflow.compiled import Compiled
        from symphony.workflow.nesting import Nested

        try:
            nested = recorded(run_id)
        except SymphonyError:  # the run was deleted, or its journal is damaged
            return None
        assert isinstance(nested, Nested)
        compiled = Compiled(nested.workflow)
        names = compiled.names
        return {
            name: frozenset(names[source] for source in compiled.sources(number))
            for number, name in enumerate(names)
        }

    return found
