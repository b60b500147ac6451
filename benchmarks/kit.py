"""What do operators of the kit cost beside the obvious native way?

Question: processor seconds of an operator's function, and how they grow with n, 2n and 4n, beside what
a few lines of the csv module, numpy, git or Jinja2 take for the same, in turn with ours. Size: tables of
25,000 to 100,000 records with 10 columns, 2,000 to 8,000 vectors, histories of 5,000 to 20,000 commits,
500 to 2,000 renderings, 50 to 200 files of the standard library. Budget: three times the peer.

Run: python benchmarks/kit.py; prints one JSON line.
"""

import ast
import asyncio
import csv
import inspect
import random
import resource
import statistics
import subprocess
import sysconfig
import tempfile
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import TypeAlias

import jinja2
import numpy as np
from measuring import Figure, line

from symphony.kit import operators
from symphony.ports.values import Value
from symphony.sdk import Context

ROUNDS = 5
OF_PEER = 3.0

Pair: TypeAlias = tuple[Callable[[], object], Callable[[], object]]
"""Ours and the peer's way."""
Made: TypeAlias = Callable[[int], Pair]
"""Makes both for a size."""


def cpu_s(call: Callable[[], object]) -> float:
    """Processor seconds of one call, those of programs that it runs included."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    before = sum(sum(resource.getrusage(kind)[:2]) for kind in kinds)
    kept = call()
    took = sum(sum(resource.getrusage(kind)[:2]) for kind in kinds) - before
    del kept
    return took


def call(name: str, folder: Path, **inputs: Value) -> object:
    """What the function of an operator returns."""
    one = operators()[name]
    context = Context(
        run_id="r", node="n", attempt=1, cwd=folder, base=folder, log=lambda *_: None, cancelled=lambda: False
    )  # fmt: skip
    arguments: dict[str, object] = dict(inputs)
    if one.context_name is not None:
        arguments[one.context_name] = context
    returned = one.function(**arguments)
    return asyncio.run(returned) if inspect.iscoroutine(returned) else returned


def compared(
    what: str,
    sizes: tuple[int, ...],
    made: Made,
) -> list[Figure]:
    """A figure for each size: ours, and the peer's in the same rounds."""
    figures = []
    for size in sizes:
        ours, peers = made(size)
        ours()
        rounds = [(cpu_s(ours), cpu_s(peers)) for _ in range(ROUNDS)]
        own, peer = (statistics.median(column) * 1000 for column in zip(*rounds, strict=True))
        figures.append(Figure(f"{what}, {size:,}", own, "ms", budget=peer * OF_PEER, peer=peer))
    return figures


def tables(folder: Path, infer: bool) -> Made:
    """`csv.read`, beside a map for each record of the csv module; types are found by trying."""

    def made(rows: int) -> Pair:
        rng, file = random.Random(7), folder / "table.csv"
        with file.open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow([f"column {n}" for n in range(10)])
            for at in range(rows):
                numbers = [at, rng.randrange(100), rng.randrange(10**6) / 100, f"{rng.random():.6f}"]
                texts = [
                    f"name {rng.randrange(5000)}",
                    "Oslo",
                    "2024-01-02",
                    "007",
                    'a "note", quoted',
                    "true",
                ]
                writer.writerow([*numbers, *texts])

        def parsed(text: str) -> object:
            for parse in (int, float):
                try:
                    return parse(text)
                except ValueError:
                    continue
            return text

        def peer() -> object:
            with file.open(newline="") as stream:
                read = list(csv.DictReader(stream))
            return [{k: parsed(v) for k, v in row.items()} for row in read] if infer else read

        return lambda: call("csv.read", folder, path="table.csv", infer=infer, limit=1_000_000), peer

    return made


def vectors(folder: Path) -> Made:
    """`vector.near_duplicates` of lists of floats, beside blocks of one matrix of numpy."""

    def made(count: int) -> Pair:
        drawn = np.random.default_rng(7).normal(size=(count, 384)).astype(np.float32)
        drawn[count // 2 : count // 2 + 50] = drawn[:50] * 2
        given: list[Value] = drawn.tolist()

        def peer() -> object:
            unit = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
            starts = range(0, count, 2048)
            blocks = (
                (a, b, unit[a : a + 2048] @ unit[b : b + 2048].T)
                for a, b in product(starts, starts)
                if a <= b
            )
            return [(a, b, np.nonzero(scores >= 0.93)) for a, b, scores in blocks]

        return lambda: call("vector.near_duplicates", folder, vectors=given), peer

    return made


def history(folder: Path) -> Made:
    """`git.log` of a whole repository, beside `git log`."""

    def made(commits: int) -> Pair:
        place = folder / f"repository-{commits}"
        subprocess.run(("git", "init", "-q", "-b", "main", place), check=True)
        lines = [
            f"commit refs/heads/main\nmark :{at}\ncommitter A <a@b> {1_500_000_000 + at} +0000\n"
            f"data 8\nsubject\n{f'from :{at - 1}' if at > 1 else ''}\n"
            f"M 100644 inline f{at % 500}\ndata {len(str(at))}\n{at}\n"
            for at in range(1, commits + 1)
        ]
        subprocess.run(
            ("git", "fast-import", "--quiet"), cwd=place, input="".join(lines).encode(), check=True
        )
        form = "--format=%H%x00%P%x00%an%x00%ae%x00%at%x00%s%x00%b"

        def peer() -> object:
            return subprocess.run(("git", "log", "-z", form), cwd=place, check=True, capture_output=True)

        return lambda: call("git.log", place, limit=commits), peer

    return made


def renderings(folder: Path) -> Made:
    """`text.render` of one text over many data, beside one template of Jinja2."""
    text = "{{ name }}: {% for item in items %}{{ item.a }}, {% endfor %}"

    def made(count: int) -> Pair:
        given: list[dict[str, Value]] = [{"name": f"n{at}", "items": [{"a": at}] * 20} for at in range(count)]

        def ours() -> object:
            return [call("text.render", folder, text=text, data=one) for one in given]

        def peer() -> object:
            template = jinja2.Environment().from_string(text)
            return [template.render(one) for one in given]

        return ours, peer

    return made


def sources(folder: Path) -> Made:
    """`code.survey` of many files, beside parsing and printing them."""

    def made(count: int) -> Pair:
        library = Path(sysconfig.get_paths()["stdlib"])
        files = sorted(library.glob("*.py"))[:count] + sorted(library.glob("*/*.py"))[: max(0, count - 200)]

        def peer() -> object:
            return [ast.unparse(ast.parse(file.read_bytes())) for file in files[:count]]

        return lambda: [call("code.survey", folder, path=str(file)) for file in files[:count]], peer

    return made


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        many = (25_000, 50_000, 100_000)
        figures = [
            *compared("csv.read, records", many, tables(folder, infer=False)),
            *compared("csv.read with types, records", many, tables(folder, infer=True)),
            *compared("vector.near_duplicates, vectors", (2_000, 4_000, 8_000), vectors(folder)),
            *compared("git.log, commits", (5_000, 10_000, 20_000), history(folder)),
            *compared("text.render, renderings", (500, 1_000, 2_000), renderings(folder)),
            *compared("code.survey, files", (50, 100, 200), sources(folder)),
        ]
    print(line("kit", "n, 2n and 4n of each, processor time; see the head of the file", figures))


if __name__ == "__main__":
    main()
