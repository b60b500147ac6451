"""What do the artifact store, the result cache and the codec cost?

Question: milliseconds to put (durably), put again, get and find one body, also beside the bare
write + fsync + rename that any durable store needs (`ratio`: the store's median to that one's,
measured alternately); milliseconds to look up a cached result and to compute its key; milliseconds
to encode 100 vectors of 384 numbers. Size: 200 bodies of 100 KB in a store of 2,000 others, 10,000
cached results. Budget: put 5 ms, get 2 ms, find 20 ms at p99, cache 0.1 ms, key 0.02 ms, codec 3 ms.

Run: python benchmarks/artifacts.py; prints one JSON line.
"""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

from symphony.pit.artifacts import FileArtifacts, ResultCache
from symphony.pit.artifacts.values.codec import decode_value, encode_value, value_digest
from symphony.pit.artifacts.values.keys import cache_key
from symphony.ports.artifacts import Provenance
from symphony.ports.values import ArtifactRef, Value

COUNT, BODY_BYTES, OTHERS, RESULTS = 200, 100_000, 2_000, 10_000
BUDGET_MS = {
    "put": 5.0,
    "put_named": 5.0,
    "link": 5.0,
    "put_again": 5.0,
    "get": 2.0,
    "find_p99": 20.0,
    "cache_get": 0.1,
    "cache_put": 0.1,
    "key": 0.02,
    "codec": 3.0,
}


def times_ms(work: Callable[[int], object], count: int = COUNT) -> list[float]:
    """Sorted milliseconds of `work(0)` … `work(count - 1)`."""
    found = []
    for i in range(count):
        started = perf_counter()
        work(i)
        found.append((perf_counter() - started) * 1_000)
    return sorted(found)


def bare_put(folder: Path, body: bytes, name: str) -> None:
    """The least that a durable store must do for a body."""
    fd = os.open(folder / "temporary", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(fd, body)
    os.fsync(fd)
    os.close(fd)
    (folder / "temporary").rename(folder / name)
    directory = os.open(folder, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)


def measure_store(home: Path) -> tuple[dict[str, float], float]:
    """Medians in milliseconds, and the ratio of a put to a bare one."""
    store, bare = FileArtifacts(home / "artifacts"), home / "bare"
    bare.mkdir()
    for i in range(OTHERS):
        store.put(b"other %d" % i, content_type="text/plain")
    bodies = [os.urandom(BODY_BYTES) for _ in range(COUNT)]
    refs: list[ArtifactRef] = []
    puts, bares = [], []
    for i, body in enumerate(bodies):
        puts += times_ms(lambda _, body=body: refs.append(store.put(body, content_type="a/b")), 1)  # type: ignore[misc]
        bares += times_ms(lambda _, body=body, i=i: bare_put(bare, body, str(i)), 1)  # type: ignore[misc]
    by = [Provenance(run_id="r", node=f"n{i}", port="p", operator="o", version="1.0.0") for i in range(COUNT)]
    found = {
        "put": median(puts),
        "put_named": median(
            times_ms(lambda i: store.put(bodies[i] + b"n", content_type="a/b", name=f"name {i}"))
        ),
        "put_again": median(times_ms(lambda i: store.put(bodies[i], content_type="a/b"))),
        "link": median(times_ms(lambda i: store.link(refs[i], by[i]))),
        "get": median(times_ms(lambda i: store.get(refs[i].digest))),
        "find_p99": times_ms(lambda i: store.find(f"name {i}"))[int(COUNT * 0.99)],
    }
    store.close()
    return found, median(puts) / median(bares)


def measure_cache(home: Path) -> dict[str, float]:
    """Medians in milliseconds; `cache_get` of results that are only in the file."""
    value: Value = {"rows": [{"name": f"row {i}", "score": i / 7} for i in range(20)]}
    keys = [
        cache_key("o", "1.0.0", "f", {"limit": 5}, {"text": value_digest(f"{i}")}) for i in range(RESULTS)
    ]
    cache = ResultCache(home / "cache.db")
    puts = times_ms(
        lambda i: cache.put(keys[i], operator="o", outputs={"result": value}, run_id="r", node="n", at=0.0),
        RESULTS,
    )
    cache.close()
    cache = ResultCache(home / "cache.db")
    gets = times_ms(lambda i: cache.get(keys[i * 7]), RESULTS // 10)
    cache.close()
    inputs = {"text": keys[0], "path": keys[1]}
    return {
        "cache_put": median(puts),
        "cache_get": median(gets),
        "key": median(times_ms(lambda i: cache_key("o", "1.0.0", "f", {"limit": i}, inputs))),
    }


def main() -> None:
    """Measure and print."""
    vectors: Value = [[i / (j + 1) for j in range(384)] for i in range(100)]
    body = encode_value(vectors)
    with tempfile.TemporaryDirectory() as home:
        found, ratio = measure_store(Path(home))
        found |= measure_cache(Path(home))
    found["codec"] = median(times_ms(lambda _: encode_value(vectors), 50))
    found["decode"] = median(times_ms(lambda _: decode_value(body), 50))
    print(
        json.dumps(
            {
                "benchmark": "artifacts",
                "question": "milliseconds per operation of store, cache and codec",
                "size": {"body_bytes": BODY_BYTES, "bodies": COUNT, "others": OTHERS, "results": RESULTS},
                "budget_ms": BUDGET_MS,
                "median_ms": {name: round(ms, 4) for name, ms in found.items()},
                "ratio_put_to_bare_write": round(ratio, 2),
                "within_budget": all(found[name] <= limit for name, limit in BUDGET_MS.items()),
            }
        )
    )


if __name__ == "__main__":
    main()
