"""How do the artifacts of a home behave as they become more: what grows with the store, and how fast?

Question: for whole commands, seconds from their start to their end, seconds of the processor (which other
work of the machine changes less), and the most memory that they take: get, show, put, list, log, lineage of
an artifact from which all others are made, search, a gc that finds nothing to delete, fsck, and a run of
one step. Then artifacts stored a second, and bytes of each part of the store an artifact. `growth` compares
with the size before, per factor ten: 1 where nothing grows, 10 where the work is in proportion.
Size: small texts of some 400 bytes, each with a name (three versions to a name), made by a run of 100 nodes,
from one source and from the artifact before it: 1,000 and 10,000, or those of the command line.
Budget: get, show, put, log, lineage and a run grow less than 1.5 times for ten times the artifacts.

Run: python benchmarks/artifact_scale.py [--without COMMAND,…] [ARTIFACTS …]; prints one JSON line for each
size. A million takes some 6 GB of disk and 40 minutes.
"""

import hashlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent))  # beside `python -P`

from measuring import Figure, line

from symphony.pit.artifacts import FileArtifacts
from symphony.ports.artifacts import Provenance
from symphony.ports.values import ArtifactRef, Digest

SIZES = (1_000, 10_000)
SETTLED = 500
"""So many artifacts share a sync, as in a run with a large fan-out."""
TIMES = 5
SLOW_S = 5.0
"""Commands that take longer are measured once."""
GROWTH_MAX = 1.5
FLAT = ("get", "show", "put", "log", "lineage", "run")
LETTERS = random.Random(3)
WORDS = tuple("".join(LETTERS.choices("abdeiklmnorstu", k=6)) for _ in range(10_000))
WORKFLOW = """\
symphony: 1
name: one
outputs:
  said: ${{ nodes.say.text }}
nodes:
  say:
    operator: text.render
    inputs: {text: "hello {{ who }}", data: {who: you}}
"""


def text_of(number: int) -> bytes:
    """A text of its own of about 400 bytes, whose words are few of many."""
    rng = random.Random(number)
    return f"document {number}\n{' '.join(rng.choices(WORDS, k=56))}\n".encode()


def value_of(digest: str) -> str:
    """The value that a text is as an input."""
    return hashlib.sha256(f"text:{digest}".encode()).hexdigest()


def fill(root: Path, artifacts: int) -> tuple[float, Digest]:
    """Store artifacts as runs do; the seconds that took, and the one that all are made from."""
    store = FileArtifacts(root)
    first = store.put(b"the source of all", content_type="text/plain", name="source", durable=True)
    before, started = first, time.perf_counter()
    for number in range(artifacts - 1):
        ref = store.put(
            text_of(number), content_type="text/plain", name=f"report/{number // 3}", encoding="text",
            durable=False,
        )  # fmt: skip
        store.link(ref, provenance(number, first, before), durable=False)
        before = ref
        if number % SETTLED == SETTLED - 1:
            store.settle()
    store.close()
    return time.perf_counter() - started, first.digest


def provenance(number: int, first: ArtifactRef, before: ArtifactRef) -> Provenance:
    """Each text is made of the first artifact and of the one before it."""
    return Provenance(
        run_id=f"{number // 100:032x}", node=f"write[{number % 100}]", port="text", operator="text.render",
        version="1", model="small" if number % 2 else None, parameters={"temperature": "0.2"},
        inputs={"source": value_of(first.digest), "before": value_of(before.digest)}, created_at=1e9 + number,
    )  # fmt: skip


class Home:
    """A home, and the commands that are typed in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._folder = path.parent / f"{path.name}-files"
        self._folder.mkdir()
        (self._folder / "one.yaml").write_text(WORKFLOW)
        (self._folder / "note.txt").write_text("a note\n")
        self._count = 0

    def once(self, *arguments: str) -> tuple[float, float, float]:
        """Seconds, seconds of the processor, and MiB of one command. Its exit status must be 0."""
        self._count += 1
        command = [
            sys.executable,
            "-P",
            "-m",
            "symphony",
            *(one.replace("#", f"{self._count}") for one in arguments),
        ]
        started = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=self._folder, env=os.environ | {"SYMPHONY_HOME": str(self.path)},
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert child.stderr is not None
        told = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"{command} ended with {child.returncode}: {told.decode()}")
        took = time.perf_counter() - started
        return took, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024

    def measured(self, arguments: Sequence[str]) -> tuple[float, float, float]:
        """The medians of several times, or the first if it is slow, and the most memory."""
        found = [self.once(*arguments)]
        while len(found) < TIMES and found[0][0] < SLOW_S:
            found.append(self.once(*arguments))
        took, busy, most = zip(*found, strict=True)
        return median(took), median(busy), max(most)


def commands(artifacts: int, first: Digest) -> Iterator[tuple[str, tuple[str, ...]]]:
    """By name, what is typed. A # is a number that is new each time."""
    name, word = f"report/{artifacts // 6}", WORDS[artifacts % len(WORDS)]
    yield "get", ("artifacts", "get", name)
    yield "show", ("artifacts", "show", name)
    yield "put", ("artifacts", "put", "note.txt", "--name", "note", "--note", "number #")
    yield "log", ("artifacts", "log", name)
    yield "list", ("artifacts", "list")
    yield "list by pattern", ("artifacts", "list", "--name", "report/1*7")
    yield "lineage", ("artifacts", "lineage", first, "--down")
    yield "run", ("run", "one.yaml")
    yield "index", ("artifacts", "index")
    yield "search", ("artifacts", "search", word)
    yield "search by size", ("artifacts", "search", "size:>300", "--sort", "oldest")
    yield "gc", ("artifacts", "gc", "--yes")
    yield "fsck", ("artifacts", "fsck")


def sizes(root: Path) -> Mapping[str, int]:
    """The bytes of the parts of a store."""
    parts = {
        "records.log": root / "records.log", "index.db": root / "index.db", "packs.db": root / "packs.db",
        "packs": root / "packs", "search": root / "search",
    }  # fmt: skip
    return {
        name: sum(
            one.stat().st_size for one in ([path] if path.is_file() else path.rglob("*")) if one.is_file()
        )
        for name, path in parts.items()
    }


def measure(home: Home, artifacts: int, without: Sequence[str]) -> dict[str, tuple[float, str]]:
    """By name, what was measured, with its unit."""
    found = dict[str, tuple[float, str]]()
    took, first = fill(home.path / "artifacts", artifacts)
    found["stored a second"] = artifacts / took, ""
    for name, arguments in commands(artifacts, first):
        if name in without:
            continue
        seconds, busy, most = home.measured(arguments)
        found[f"{name}, time"] = seconds, "s"
        found[f"{name}, processor"] = busy, "s"
        found[f"{name}, memory"] = most, "MiB"
        print(
            f"{artifacts:,}: {name} {seconds:.3f} s, {busy:.3f} s, {most:.0f} MiB",
            file=sys.stderr,
            flush=True,
        )
    for name, size in sizes(home.path / "artifacts").items():
        found[f"{name} an artifact"] = size / artifacts, "bytes"
    return found


def main() -> None:
    """Measure each size, and print its line."""
    arguments, without = sys.argv[1:], list[str]()
    if arguments[:1] == ["--without"]:
        without, arguments = arguments[1].split(","), arguments[2:]
    before, smaller = dict[str, tuple[float, str]](), 0
    for artifacts in [int(one) for one in arguments] or SIZES:
        with tempfile.TemporaryDirectory() as folder:
            found = measure(Home(Path(folder) / "home"), artifacts, without)
        figures = [Figure(what, value, unit) for what, (value, unit) in found.items()]
        for what, (value, _) in found.items():
            if before.get(what, (0,))[0] and not what.startswith("stored"):
                tens = len(str(artifacts // smaller)) - 1 or 1
                growth = (value / before[what][0]) ** (1 / tens)
                name, _, kind = what.partition(", ")
                limit = GROWTH_MAX if name in FLAT and kind != "time" else None
                figures.append(Figure(f"{what}, growth", growth, "times", limit))
        print(line("artifact_scale", f"{artifacts:,} artifacts", figures), flush=True)
        before, smaller = found, artifacts


if __name__ == "__main__":
    main()
