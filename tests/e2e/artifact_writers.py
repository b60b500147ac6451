"""A script of tests: processes that write to one artifact store, and what may happen to them.

Usage: artifact_writers.py MODE ROOT SEED ROUNDS. Prints one JSON object. Forks its writers, so
that a hundred of them cost no more than one start of Python.
"""

import io
import json
import os
import random
import resource
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts.store.checking import StoreCheck
from symphony.pit.artifacts.store.files import FileArtifacts
from symphony.ports.artifacts import ArtifactMissing, Provenance
from symphony.ports.values import ArtifactRef, Digest

SIZES = (0, 1, 100, 5_000, 100_000, 2_000_000)


def by(run_id: str, node: str) -> Provenance:
    return Provenance(run_id=run_id, node=node, port="p", operator="o", version="1.0.0")


def forked(work: Callable[[int], None]) -> tuple[int, int]:
    """A child that runs `work` with the writing end of a pipe; its id and the reading end."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work(writing)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    return pid, reading


def drained(reading: int) -> list[str]:
    pieces = []
    while piece := os.read(reading, 1 << 16):
        pieces.append(piece)
    os.close(reading)
    text = b"".join(pieces).decode()
    return text[: text.rfind("\n") + 1].splitlines()


def killed(root: Path, seed: int, rounds: int) -> dict[str, object]:
    """Kill writers at random moments; then everything acknowledged is there and nothing is broken."""
    rng = random.Random(seed)
    acknowledged: list[list[str]] = []
    failed: list[int] = []
    for number in range(rounds):
        keys = [f"{seed}.{number}.{writer}" for writer in range(2)]
        children = [forked(lambda pipe, key=key: endless(root, key, pipe)) for key in keys]
        select.select([reading for _, reading in children], [], [], 10)
        time.sleep(rng.uniform(0, 0.03))
        for pid, _ in children:
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            if not os.WIFSIGNALED(status):
                failed.append(status)
        for _, reading in children:
            acknowledged += [line.split(" ") for line in drained(reading)]
    store = FileArtifacts(root)
    store.collect(0)
    broken = [digest for digest, _, _ in acknowledged if not held(store, digest)]
    unnamed = [name for digest, name, _ in acknowledged if name not in store.find(digest).names]
    unlinked = [
        run_id for digest, _, run_id in acknowledged
        if run_id not in {link.run_id for link in store.find(digest).provenance}
    ]  # fmt: skip
    store.close()
    wrong = [
        str(fault) for fault in StoreCheck(root).faults() if fault.kind != "pack"
    ]  # torn bytes may be left
    return {
        "acknowledged": len(acknowledged), "broken": broken, "unnamed": unnamed, "unlinked": unlinked,
        "wrong": wrong, "failed": failed,
    }  # fmt: skip


def endless(root: Path, key: str, pipe: int) -> None:
    rng, store = random.Random(key), FileArtifacts(root)
    for i in range(100_000):
        body = rng.randbytes(rng.choice(SIZES))
        ref = store.put(body, content_type="text/plain", name=f"{key}.{i}")
        store.link(ref, by(f"{key}.{i}", "n"))
        os.write(pipe, f"{ref.digest} {key}.{i} {key}.{i}\n".encode())


def numbered(root: Path, seed: int, rounds: int) -> dict[str, object]:
    """Several writers add versions to one name and are killed; an acknowledged number means one body."""
    rng = random.Random(seed)
    acknowledged: list[list[str]] = []
    for number in range(rounds):
        keys = [f"{seed}.{number}.{writer}" for writer in range(3)]
        children = [forked(lambda pipe, key=key: numbering(root, key, pipe)) for key in keys]
        select.select([reading for _, reading in children], [], [], 10)
        time.sleep(rng.uniform(0, 0.05))
        for pid, _ in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        for _, reading in children:
            acknowledged += [line.split(" ") for line in drained(reading)]
        if number % 5 == 4:
            for path in root.glob("index.db*"):
                path.unlink()
    store = FileArtifacts(root)
    found = {one.number: one.digest for one in store.versions("shared", limit=1_000_000)}
    wrong = [[number, digest] for number, digest in acknowledged if found.get(int(number)) != digest]
    unread = [number for number in found if not held(store, found[number])]
    store.close()
    return {
        "acknowledged": len(acknowledged), "versions": len(found), "newest": max(found), "wrong": wrong,
        "twice": len(acknowledged) - len({number for number, _ in acknowledged}), "unread": unread,
    }  # fmt: skip


def numbering(root: Path, key: str, pipe: int) -> None:
    rng, store = random.Random(key), FileArtifacts(root)
    while True:
        made = store.add_version(
            io.BytesIO(rng.randbytes(rng.choice(SIZES[1:4]))),
            name="shared",
            content_type="a/b",
            tags=[f"t{key}"],
        )
        os.write(pipe, f"{made.number} {made.digest}\n".encode())


def held(store: FileArtifacts, digest: str) -> bool:
    try:
        store.get(Digest(digest))
    except SymphonyError:
        return False
    return True


def collecting(root: Path, seed: int, rounds: int) -> dict[str, object]:
    """Writers and collectors at once: what is linked stays, what is not goes."""
    store = FileArtifacts(root)
    store.put(b"first", content_type="text/plain")
    writers = [forked(lambda pipe, key=f"{seed}.{w}": sharing(root, key, rounds, pipe)) for w in range(3)]
    stop = os.pipe()
    collectors = [forked(lambda pipe: collect_until(root, stop[0], pipe)) for _ in range(2)]
    lost = [line for _, pipe in writers for line in drained(pipe)]
    os.write(stop[1], b"x")
    collected = [int(line) for _, pipe in collectors for line in drained(pipe)]
    codes = [os.waitpid(pid, 0)[1] for pid, _ in (*writers, *collectors)]
    store.collect(0)
    left = [record.digest for record in store.records(limit=1_000)]
    store.close()
    return {"lost": lost, "codes": codes, "collected": sum(collected), "left": len(left)}


def sharing(root: Path, key: str, rounds: int, pipe: int) -> None:
    rng, store = random.Random(key), FileArtifacts(root)
    for i in range(rounds):
        run_id, body = f"{key}.{i}", b"shared %d" % rng.randrange(2)
        ref = linked(store, body, run_id)
        if not held(store, ref.digest):
            os.write(pipe, f"{ref.digest} of {run_id} is lost\n".encode())
        store.unlink_run(run_id)
    store.close()


def linked(store: FileArtifacts, body: bytes, run_id: str) -> ArtifactRef:
    while True:
        ref = store.put(body, content_type="text/plain")
        try:
            store.link(ref, by(run_id, "n"))
        except ArtifactMissing:  # collected in between: this collector leaves nothing its youth
            continue
        return ref


def collect_until(root: Path, stop: int, pipe: int) -> None:
    store, total = FileArtifacts(root), 0
    while not select.select([stop], [], [], 0)[0]:
        total += store.collect(0).objects
    store.close()
    os.write(pipe, f"{total}\n".encode())


def limited(root: Path, seed: int, rounds: int) -> dict[str, object]:
    """A limit on the size of files stands for a full disk: the error is clear and nothing is left."""
    store = FileArtifacts(root)
    small = store.put(b"small", content_type="text/plain", name="small")
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    errors = []
    try:
        store.put(random.Random(seed).randbytes(1_000_000), content_type="text/plain")
    except SymphonyError as error:
        errors.append([error.code, error.hint])
    with Path("/dev/urandom").open("rb") as endless_bytes:
        try:
            store.put_stream(endless_bytes, content_type="text/plain")
        except SymphonyError as error:
            errors.append([error.code, error.hint])
    again = store.put(b"after", content_type="text/plain", name="after")
    found = [store.get(small.digest).decode(), store.get(again.digest).decode()]
    store.collect(0)
    left = [str(fault) for fault in StoreCheck(root).faults()]
    count = len(list(store.records()))
    store.close()
    return {"errors": errors, "found": found, "left": left, "count": count}


def read_only(root: Path, seed: int, rounds: int) -> dict[str, object]:
    """Somebody who may read the store and not write to it."""
    store = FileArtifacts(root)
    ref = store.put(b"body", content_type="text/plain", name="name")
    store.link(ref, by("r", "n"))
    store.close()
    for path in (root, *root.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65_534)
        os.setuid(65_534)
    answer: dict[str, object] = {}
    for reader in (FileArtifacts(root), store):
        with reader.open(ref.digest) as stream:
            answer["streamed"] = stream.read().decode()
        answer["got"] = reader.get(ref.digest).decode()
        answer["found"] = reader.find("name").provenance[0].run_id
        answer["listed"] = [record.names[0] for record in reader.records()]
        for act in ("put", "link", "collect"):
            try:
                if act == "put":
                    reader.put(b"another", content_type="text/plain")
                elif act == "link":
                    reader.link(ref, by("r2", "n"))
                else:
                    reader.collect(0)
            except SymphonyError as error:
                answer[act] = [error.code, error.hint]
        reader.close()
    return answer


if __name__ == "__main__":
    modes = {
        "killed": killed,
        "numbered": numbered,
        "collecting": collecting,
        "limited": limited,
        "read_only": read_only,
    }
    mode, place, seed_text, rounds_text = sys.argv[1:]
    print(json.dumps(modes[mode](Path(place), int(seed_text), int(rounds_text))))
