"""Clearings that are interrupted between any two of their steps, among puts, links, pins, undos and moves."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from symphony.pit.artifacts import FileArtifacts, MemoryArtifacts
from symphony.pit.stale.core.deciding import RetentionPolicy, verdicts
from symphony.ports.artifacts import ArtifactMissing, Provenance
from symphony.ports.retention import RetainedStore, Standing, Tier
from symphony.ports.values import ArtifactRef

ANY_AGE = -10.0
"""Nothing is protected by its youth: only that nothing goes which has changed since it was judged."""
POLICY = RetentionPolicy(min_age_s=ANY_AGE, grace_s=0.0)
BODIES = [b"body %d" % number for number in range(6)]


def by(run_id: str) -> Provenance:
    return Provenance(run_id=run_id, node="n", port="p", operator="o", version="1.0.0")


def clearing(store: RetainedStore) -> Iterator[None]:
    """One clearing, step by step."""
    while True:
        found = store.standings().all
        yield
        told = verdicts(found, POLICY, 2e9)
        going = [one for one, verdict in zip(found, told, strict=True) if not verdict.stays]
        store.trash([(one, "why") for one in going if one.trashed_at is None], min_age_s=ANY_AGE)
        yield
        digests = {one.digest for one in going}
        swept: list[Standing] = [one for one in store.standings().all if one.digest in digests]
        yield
        store.sweep(swept, min_age_s=ANY_AGE)
        yield


class Home:
    """Two stores on one folder, as two processes have them, and what must be there."""

    def __init__(self, stores: list[FileArtifacts] | list[MemoryArtifacts], rng: Random) -> None:
        self.stores, self.rng = stores, rng
        self.clearings = [clearing(store) for store in stores]
        self.links: dict[str, ArtifactRef] = {}
        self.named: set[str] = set()
        self.pinned: set[str] = set()
        self.runs = 0

    def step(self) -> None:
        store = self.rng.choice(self.stores)
        body = self.rng.choice(BODIES)
        match self.rng.randrange(10):
            case 0 | 1 | 2:
                next(self.rng.choice(self.clearings))
            case 3 | 4:
                ref = store.put(body, content_type="text/plain")
                self.runs += 1
                store.link(ref, by(f"r{self.runs}"))
                self.links[f"r{self.runs}"] = ref
            case 5 if self.links:
                run_id = self.rng.choice(sorted(self.links))
                del self.links[run_id]
                store.unlink_run(run_id)
            case 6:
                if self.rng.random() < 0.1:
                    self.named.add(store.put(body, content_type="text/plain", name="n").digest)
                else:
                    store.put(body, content_type="text/plain")
            case 7:
                self.pin(store, body)
            case 8:
                found = [one for one in store.standings().all if self.rng.random() < 0.5]
                store.move([(one, self.rng.choice([Tier.HOT, Tier.WARM]), "why") for one in found])
            case _:
                store.restore()
        self.check(store)

    def pin(self, store: RetainedStore, body: bytes) -> None:
        ref = store.put(body, content_type="text/plain")
        pinned = self.rng.random() < 0.5
        store.pin(ref.digest, pinned=pinned)
        (self.pinned.add if pinned else self.pinned.discard)(ref.digest)

    def check(self, store: FileArtifacts | MemoryArtifacts) -> None:
        for digest in {*(ref.digest for ref in self.links.values()), *self.named, *self.pinned}:
            assert store.find(digest).digest == digest
            assert store.size(digest) is not None


@pytest.mark.parametrize("seed", range(60))
def test_nothing_goes_that_should_stay_in_memory(seed: int) -> None:
    store = MemoryArtifacts()
    home = Home([store], Random(seed))
    home.clearings.append(clearing(store))
    for _ in range(300):
        home.step()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_nothing_goes_that_should_stay_in_files(seed: int, tmp_path: Path) -> None:
    stores = [FileArtifacts(tmp_path), FileArtifacts(tmp_path)]
    home = Home(stores, Random(seed))
    for _ in range(150):
        home.step()
    for run_id in home.links:
        stores[0].unlink_run(run_id)
    for digest in home.pinned:
        stores[0].pin(digest, pinned=False)  # type: ignore[arg-type]
    last = clearing(stores[1])
    for _ in range(4):
        next(last)
    for store in stores:
        left = {one.digest for one in store.standings().all}
        assert left == home.named, f"seed {seed}"
        for digest in home.named:
            assert store.get(digest)  # type: ignore[arg-type]
        store.close()


def test_a_body_that_is_gone_is_told_to_whoever_links_it() -> None:
    store = MemoryArtifacts()
    ref = store.put(b"x", content_type="text/plain")
    steps = clearing(store)
    for _ in range(4):
        next(steps)
    with pytest.raises(ArtifactMissing):
        store.link(ref, by("r1"))
