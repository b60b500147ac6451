"""A script of tests: processes that clear one artifact store while others write to it.

Usage: trash_racers.py MODE ROOT SEED ROUNDS. Prints one JSON object.
"""

import json
import os
import random
import select
import signal
import sys
import time
from pathlib import Path

from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts.packs.away import OutsidePlaces
from symphony.pit.artifacts.places.directory import DirectoryStorage
from symphony.pit.artifacts.store.checking import StoreCheck
from symphony.pit.artifacts.store.files import FileArtifacts
from symphony.pit.stale.clearing import clear
from symphony.pit.stale.core.deciding import RetentionPolicy
from symphony.ports.artifacts import ArtifactMissing, Provenance
from symphony.ports.retention import Tier

POLICY = RetentionPolicy(min_age_s=0.0, grace_s=0.0)
"""Nothing is protected by its youth or by a grace time."""
NOW_S = 4e9
WORDS = [b"%x " % number for number in range(0, 1 << 20, 997)]


def places(root: Path) -> OutsidePlaces:
    """The cold tier is a folder beside the store."""
    cold = root.parent / "cold"
    return OutsidePlaces(lambda address: DirectoryStorage(Path(address)), cache_bytes=0, cold=str(cold))


def opened(root: Path) -> FileArtifacts:
    return FileArtifacts(root, places(root))


def by(run_id: str) -> Provenance:
    return Provenance(run_id=run_id, node="n", port="p", operator="o", version="1.0.0")


def forked(work: "Work", *arguments: object) -> tuple[int, int]:
    """A child that runs `work` with the writing end of a pipe; its id and the reading end."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work(*arguments, writing)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    return pid, reading


def lines(reading: int) -> list[str]:
    pieces = []
    while piece := os.read(reading, 1 << 16):
        pieces.append(piece)
    os.close(reading)
    text = b"".join(pieces).decode()
    return text[: text.rfind("\n") + 1].splitlines()


def racing(root: Path, seed: int, rounds: int) -> dict[str, object]:
    """Writers, clearings and an undo at once: what is linked stays."""
    (root.parent / "cold").mkdir()
    opened(root).put(b"first", content_type="text/plain")
    writers = [forked(share, root, f"{seed}.{number}", rounds) for number in range(3)]
    stop = os.pipe()
    others = [forked(clear_until, root, stop[0], seed + n) for n in range(2)]
    lost = [line for _, pipe in writers for line in lines(pipe)]
    os.write(stop[1], b"x")
    cleared = [int(line) for _, pipe in others for line in lines(pipe)]
    codes = [os.waitpid(pid, 0)[1] for pid, _ in (*writers, *others)]
    store = opened(root)
    clear(store, POLICY, NOW_S, at_once=True)
    faults = [fault.kind for fault in StoreCheck(root, places(root)).faults()]
    left = len(list(store.records(limit=1_000)))
    return {"lost": lost, "codes": codes, "cleared": sum(cleared), "left": left, "faults": faults}


def share(root: Path, key: str, rounds: int, pipe: int) -> None:
    rng, store = random.Random(key), opened(root)
    for number in range(rounds):
        run_id, body = f"{key}.{number}", b"shared %d" % rng.randrange(2)
        while True:
            ref = store.put(body, content_type="text/plain", durable=rng.random() < 0.5)
            try:
                store.link(ref, by(run_id), durable=rng.random() < 0.5)
                store.settle()
            except ArtifactMissing:  # it went in between: nothing is protected by its youth here
                continue
            break
        try:
            found = store.find(ref.digest)
            assert store.get(found.digest) == body
        except SymphonyError as error:
            os.write(pipe, f"{ref.digest} of {run_id}: {error.message}\n".encode())
        store.unlink_run(run_id)
    store.close()


def clear_until(root: Path, stop: int, seed: int, pipe: int) -> None:
    rng, store, total = random.Random(seed), opened(root), 0
    while not select.select([stop], [], [], 0)[0]:
        if rng.random() < 0.1:
            store.restore()
        total += clear(store, POLICY, NOW_S, at_once=rng.random() < 0.5).deleted.objects
        shift(store, rng)
    store.close()
    os.write(pipe, f"{total}\n".encode())


def shift(store: FileArtifacts, rng: random.Random) -> None:
    """Move some artifacts to other tiers."""
    tiers = [Tier.HOT, Tier.WARM, Tier.COLD]
    store.move([(one, rng.choice(tiers), "why") for one in store.standings().all if rng.random() < 0.5])


def killed(root: Path, seed: int, rounds: int) -> dict[str, object]:
    """Clearings that are killed at random moments: what should stay is there, and the next one finishes."""
    (root.parent / "cold").mkdir()
    rng, store = random.Random(seed), opened(root)
    kept = []
    for number in range(40):
        ref = store.put(b"kept %d" % number, content_type="text/plain", name=f"n{number}")
        if number % 2:
            store.link(ref, by(f"r{number}"))
        if number % 5 == 0:
            store.pin(ref.digest)
        kept.append(ref.digest)
    large = b"".join(random.Random(1).choices(WORDS, k=40_000))
    for number in range(3):  # cut into chunks that they share
        body = large[: number * 1_000] + b"!" + large[number * 1_000 :]
        kept.append(store.put(body, content_type="text/plain", name="large").digest)
    store.close()
    killings, broken = 0, list[str]()
    for turn in range(rounds):
        writer = opened(root)
        for number in range(40):
            writer.put(b"%d idle %d" % (turn, number), content_type="text/plain")
        writer.close()
        pid, reading = forked(clear_again, root)
        select.select([reading], [], [], 10)
        time.sleep(rng.uniform(0, 0.06))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        killings += os.WIFSIGNALED(status)
        os.close(reading)
        reader = opened(root)
        for digest in kept:
            try:
                reader.find(digest)
                reader.get(digest)
            except SymphonyError as error:
                broken.append(f"{turn}: {error.message}")
        reader.close()
    store = opened(root)
    clear(store, POLICY, NOW_S, at_once=True)
    for tier in (Tier.COLD, Tier.HOT):
        store.move([(one, tier, "why") for one in store.standings().all])
    outside = len(list((root.parent / "cold" / "packs").glob("*.pack")))
    faults = [fault.kind for fault in StoreCheck(root, places(root)).faults()]
    left = len(list(store.records(limit=10_000)))
    return {"killings": killings, "broken": broken, "left": left, "faults": faults, "outside": outside}


def clear_again(root: Path, pipe: int) -> None:
    store, rng = opened(root), random.Random(os.getpid())
    os.write(pipe, b"begun\n")
    for _ in range(1_000):
        shift(store, rng)
        clear(store, POLICY, NOW_S, at_once=True)
        shift(store, rng)


Work = type(clear_again)

if __name__ == "__main__":
    modes = {"racing": racing, "killed": killed}
    mode, place, seed_text, rounds_text = sys.argv[1:]
    print(json.dumps(modes[mode](Path(place), int(seed_text), int(rounds_text))))
