"""Any sequence of puts, tags, links, deletions and restarts gives what a map of lists would give."""

import io
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from symphony.pit.artifacts import FileArtifacts, MemoryArtifacts
from symphony.pit.artifacts.metadata.records import Unlinked, line_of
from symphony.ports.artifacts import ArtifactMissing, Provenance
from symphony.ports.values import Digest

NAMES, BODIES, TYPES = ("n", "m/é"), (b"a", b"b", b"c"), ("a/b", "c/d")
RUNS, TAGS = ("r1", "r2"), ("best", "old")
name, body, kind = st.sampled_from(NAMES), st.sampled_from(BODIES), st.sampled_from(TYPES)
run, tag = st.sampled_from(RUNS), st.sampled_from(TAGS)


class Version(NamedTuple):
    """One version in the model."""

    body: bytes
    kind: str
    run: str | None
    note: str


class Model(RuleBasedStateMachine):
    """A store beside a map from names to lists of versions."""

    store: FileArtifacts | MemoryArtifacts

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, list[Version]] = {}
        self.tags: dict[tuple[str, str], int] = {}
        self.present: set[bytes] = set()
        self.links: set[tuple[str, bytes]] = set()
        self.by_hand: set[tuple[str, bytes]] = set()
        self.digests: dict[bytes, Digest] = {}

    def _put(self, name: str, version: Version) -> None:
        versions = self.names.setdefault(name, [])
        newest = versions[-1] if versions else None
        same = newest is not None and (newest.body, newest.kind) == (version.body, version.kind)
        if not same or version.body not in self.present or version.note:
            versions.append(version)
        self.present.add(version.body)

    @rule(
        name=name, body=body, kind=kind, note=st.sampled_from(("", "", "x")), tags=st.lists(tag, max_size=1)
    )
    def add(self, name: str, body: bytes, kind: str, note: str, tags: list[str]) -> None:
        made = self.store.add_version(io.BytesIO(body), name=name, content_type=kind, note=note, tags=tags)
        self._put(name, Version(body, kind, None, note))
        self.by_hand.add((name, body))
        self.digests[body] = made.digest
        self.tags.update({(name, tag): len(self.names[name]) for tag in tags})
        assert made.number == len(self.names[name])

    @rule(name=name, body=body, kind=kind, run=run, durable=st.booleans())
    def run_puts(self, name: str, body: bytes, kind: str, run: str, durable: bool) -> None:
        ref = self.store.put(body, content_type=kind, name=name, durable=durable)
        by = Provenance(run_id=run, node="n", port="p", operator="o", version="1")
        self.store.link(ref, by, durable=durable)
        self._put(name, Version(body, kind, run, ""))
        self.digests[body] = ref.digest
        self.links.add((run, body))

    @rule(name=name, number=st.integers(0, 5), tag=tag)
    def give_tag(self, name: str, number: int, tag: str) -> None:
        versions = self.names.get(name, [])
        if 0 < number <= len(versions) and versions[number - 1].body in self.present:
            before = self.tags.get((name, tag))
            assert self.store.tag(name, number, tag) == (None if before == number else before)
            self.tags[name, tag] = number
        else:
            with pytest.raises(ArtifactMissing):
                self.store.tag(name, number, tag)

    @rule(name=name, tag=tag)
    def take_tag(self, name: str, tag: str) -> None:
        if (name, tag) in self.tags:
            assert self.store.untag(name, tag) == self.tags.pop((name, tag))
        else:
            with pytest.raises(ArtifactMissing):
                self.store.untag(name, tag)

    @rule(run=run)
    def delete_run(self, run: str) -> None:
        self.store.unlink_run(run)
        self.links = {link for link in self.links if link[0] != run}

    @rule()
    def collect(self) -> None:
        self.store.collect(-10)
        tagged = {self.names[name][number - 1].body for (name, _), number in self.tags.items()}
        kept = tagged | {body for _, body in self.links | self.by_hand}
        self.present &= kept

    @rule(index=st.booleans(), rewritten=st.booleans())
    def restart(self, index: bool, rewritten: bool) -> None:
        """Nothing in memory."""

    @invariant()
    def every_version_is_what_it_was(self) -> None:
        for name in NAMES:
            found = self.store.versions(name, limit=1_000)
            versions = self.names.get(name, [])
            assert [one.number for one in found] == list(range(len(versions), 0, -1))
            for one, version in zip(reversed(found), versions, strict=True):
                assert (one.digest, one.content_type) == (self.digests[version.body], version.kind)
                assert (one.run_id, one.note) == (version.run, version.note)
                assert one.deleted == (version.body not in self.present)
                tags = sorted(tag for (of, tag), at in self.tags.items() if (of, at) == (name, one.number))
                assert list(one.tags) == tags
            there = [number for number, one in enumerate(versions, 1) if one.body in self.present]
            for text, number in [(name, there[-1] if there else 0), *self._tagged(name)]:
                self._means(name, text, number)

    def _tagged(self, name: str) -> list[tuple[str, int]]:
        return [(f"{of}@{tag}", number) for (of, tag), number in self.tags.items() if of == name]

    def _means(self, name: str, text: str, number: int) -> None:
        versions = self.names.get(name, [])
        if number and versions[number - 1].body in self.present:
            found = self.store.find(text)
            assert found.version is not None
            assert (found.version.number, found.content_type) == (number, versions[number - 1].kind)
            assert self.store.get(found.digest) == versions[number - 1].body
        else:
            with pytest.raises(ArtifactMissing):
                self.store.find(text)


class InMemory(Model):
    """The store in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryArtifacts()


class InFiles(Model):
    """The store in files, which restarts, loses its index and has its log rewritten."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = FileArtifacts(Path(self.folder.name) / "artifacts")

    @rule(index=st.booleans(), rewritten=st.booleans())
    def restart(self, index: bool, rewritten: bool) -> None:
        assert isinstance(self.store, FileArtifacts)
        self.store.close()
        root = self.store.root
        if index:
            for path in root.glob("index.db*"):
                path.unlink()
        self.store = FileArtifacts(root)
        if rewritten and (root / "records.log").exists():
            with (root / "records.log").open("ab") as log:
                log.write(line_of(Unlinked("nobody")) * 1_500)
            self.collect()
            assert (root / "records.log").stat().st_size < 60_000

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()


def test_the_store_in_memory_is_a_map_of_lists() -> None:
    run_state_machine_as_test(InMemory, settings=settings(stateful_step_count=30, deadline=None))


@pytest.mark.slow
def test_the_store_in_files_is_a_map_of_lists() -> None:
    few = settings(
        max_examples=20, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(InFiles, settings=few)
