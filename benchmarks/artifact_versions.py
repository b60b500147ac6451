"""What do names, versions and lineage cost in a large store?

Question: milliseconds to put a small body under a name durably, to find one by `NAME@NUMBER` and by tag, to
list the 50 newest versions of a name and all of a name with 10,000, to find what was made of an artifact and
which artifact a value is, and to list by a pattern of names; and seconds to make the index of the log. All of
it also in a store of a tenth: `growth` is the ratio, which is 1 where nothing grows with the store.
Size: what is known of 100,000 artifacts, each with a name, a link and three inputs, without their bodies; one
name has 10,000 versions.
Budget: put 5 ms, find 2 ms, newest 50 in 5 ms, all 10,000 in 500 ms, lineage 2 ms, list 100 ms; growth of all
but the list below 3.

Run: python benchmarks/artifact_versions.py [ARTIFACTS]; prints one JSON line.
"""

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter

from symphony.pit.artifacts.metadata.records import Linked, Put, Record, RecordLog, Tagged
from symphony.pit.artifacts.store.files import FileArtifacts
from symphony.ports.artifacts import ArtifactFilter, Provenance
from symphony.ports.values import Digest

VERSIONS, COUNT = 10_000, 50
BUDGET_MS = {
    "put": 5.0, "find_number": 2.0, "find_tag": 2.0, "newest_50": 5.0, "all_10_000": 500.0, "derived": 2.0,
    "sources": 2.0, "list_pattern": 100.0,
}  # fmt: skip
GROWTH_MAX = 3.0
GROWS = ("list_pattern",)


def digest_of(number: int) -> Digest:
    return Digest(hashlib.sha256(b"%d" % number).hexdigest())


def value_of(digest: str) -> str:
    return hashlib.sha256(f"text:{digest}".encode()).hexdigest()


def records(artifacts: int) -> Iterator[Record]:
    """Each artifact is made of the three before it."""
    for number in range(artifacts):
        digest = digest_of(number)
        yield Put(digest, 100, "text/plain", f"report {number // 3}", 1e9 + number, version=number % 3 + 1)
        inputs = {f"i{back}": value_of(digest_of(number - back)) for back in (1, 2, 3)}
        by = Provenance(
            run_id=f"run{number // 100}",
            node=f"n{number % 100}",
            port="p",
            operator="o",
            version="1",
            inputs=inputs,
        )
        yield Linked(digest, by, f"report {number // 3}", 1, (number % 3 + 1,), value_of(digest))
    for number in range(VERSIONS):
        yield Put(digest_of(number), 100, "text/plain", "many", 2e9 + number, version=number + 1)
    yield Tagged("many", "best", digest_of(4_999), 5_000)


def median_ms(work: Callable[[int], object], count: int = COUNT) -> float:
    found = []
    for number in range(count):
        started = perf_counter()
        work(number)
        found.append((perf_counter() - started) * 1_000)
    return median(found)


def measured(root: Path, artifacts: int) -> tuple[dict[str, float], float, int]:
    """Medians in milliseconds, seconds to make the index, and its bytes."""
    store = FileArtifacts(root)
    store.put(b"first", content_type="a/b")
    store.close()
    log = RecordLog(root / "records.log")
    log.replace(records(artifacts))
    log.close()
    (root / "index.db").unlink()
    started = perf_counter()
    assert len(store.versions("many", limit=1)) == 1
    made_s = perf_counter() - started
    for number in range(COUNT):  # these are found, so that they need a body
        store.put(b"%d" % (number * 97), content_type="text/plain")
    found = {
        "put": median_ms(lambda i: store.put(b"new %d" % i, content_type="a/b", name=f"new {i % 5}")),
        "find_number": median_ms(lambda i: store.find(f"many@{i * 97 + 1}")),
        "newest_50": median_ms(lambda i: store.versions("many", limit=50, before=VERSIONS - i)),
        "all_10_000": median_ms(lambda _: store.versions("many", limit=VERSIONS), 5),
        "derived": median_ms(lambda i: store.derived(digest_of(artifacts // 2 + i * 7))),
        "sources": median_ms(lambda i: store.sources(value_of(digest_of(artifacts // 2 + i * 7)))),
        "list_pattern": median_ms(
            lambda i: list(store.records(where=ArtifactFilter(names=[f"*{i}7 x*"]))), 7
        ),
    }
    store.put(b"4999", content_type="text/plain")
    found["find_tag"] = median_ms(lambda _: store.find("many@best"))
    assert len(store.derived(digest_of(artifacts // 2))) == 3
    store.close()
    return found, made_s, (root / "index.db").stat().st_size


def main() -> None:
    """Measure and print."""
    artifacts = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as home:
        small, _, _ = measured(Path(home) / "small", artifacts // 10)
        large, made_s, index_bytes = measured(Path(home) / "large", artifacts)
    growth = {name: large[name] / small[name] for name in large}
    print(
        json.dumps(
            {
                "benchmark": "artifact_versions",
                "question": "milliseconds of names, versions and lineage in a large store",
                "size": {"artifacts": artifacts, "versions": VERSIONS},
                "budget_ms": BUDGET_MS,
                "median_ms": {name: round(ms, 4) for name, ms in large.items()},
                "growth_from_a_tenth": {name: round(ratio, 2) for name, ratio in growth.items()},
                "index_made_s": round(made_s, 2),
                "index_bytes_per_artifact": round(index_bytes / artifacts),
                "within_budget": all(large[name] <= limit for name, limit in BUDGET_MS.items())
                and all(ratio < GROWTH_MAX for name, ratio in growth.items() if name not in GROWS),
            }
        )
    )


if __name__ == "__main__":
    main()
