"""Work as people write it: layers that read lists of references, fan-outs, commands, texts.

One description for every engine, so that each runs the same graph and must give the same answer.
"""

import json
import random
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Step: TypeAlias = Literal["sum", "text", "command"]
MODULUS = 1_000_003
SEED = 7
OPERATORS = '''\
"""Operators as users write them."""

import zlib

from symphony import operator


@operator("written.sum", version="1.0.0", pure=True)
def add(inputs: list[int]) -> int:
    """A sum, in a plain function."""
    return (1 + sum(inputs)) % 1000003


@operator("written.sum_async", version="1.0.0", pure=True)
async def add_async(inputs: list[int]) -> int:
    """A sum, on the event loop."""
    return (1 + sum(inputs)) % 1000003


@operator("written.text", version="1.0.0", pure=True)
def text(number: int, size: int, inputs: list[str]) -> str:
    """A text of `size` characters that differs from every other one."""
    return f"{number} {inputs[0] if inputs else ''}".ljust(size, ".")[:size]


@operator("written.checksum", version="1.0.0", pure=True)
def checksum(inputs: list[str]) -> int:
    """The checksum of all texts together."""
    return zlib.crc32("".join(inputs).encode())


@operator("written.numbers", version="1.0.0", pure=True)
def numbers(count: int) -> list[int]:
    """The numbers below `count`."""
    return list(range(count))


@operator("written.square", version="1.0.0", pure=True)
def square(number: int) -> int:
    """A square."""
    return number * number % 1000003


@operator("written.total", version="1.0.0", pure=True)
def total(values: list[int]) -> int:
    """The sum of all squares."""
    return sum(values)
'''


@dataclass(frozen=True, slots=True)
class Work:
    """A graph for every engine. `reads` has a list of earlier nodes for each node, in layers of `width`.

    `elements` of a fan-out is its length, and then there are no nodes. `size` is in characters.
    """

    step: Step = "sum"
    width: int = 1
    reads: Sequence[Sequence[int]] = ()
    size: int = 0
    elements: int = 0

    @property
    def units(self) -> int:
        """What a figure is divided by: nodes, or elements."""
        return self.elements or len(self.reads)

    def expected(self) -> object:
        """What the last node gives, or the sum of all elements' squares."""
        if self.elements:
            return sum(fanned(number) for number in range(self.elements))
        values: list[object] = []
        for number, reads in enumerate(self.reads):
            values.append(done(self, number, [values[read] for read in reads]))
        return values[-1]

    def save(self, file: Path) -> None:
        """Write it for the other engines."""
        file.write_text(json.dumps(asdict(self)), encoding="utf-8")


def load(file: Path) -> Work:
    """What `save` wrote."""
    return Work(**json.loads(file.read_text(encoding="utf-8")))


def done(work: Work, number: int, inputs: Sequence[object]) -> object:
    """What node `number` gives, as the operators have it; a command prints its number.

    The last node of texts gives their checksum, which is short enough to be printed whole.
    """
    if work.step == "command":
        return str(number)
    if work.step == "text" and number == len(work.reads) - 1:
        return zlib.crc32("".join(map(str, inputs)).encode())
    if work.step == "text":
        return f"{number} {inputs[0] if inputs else ''}".ljust(work.size, ".")[: work.size]
    return (1 + sum(value for value in inputs or [number] if isinstance(value, int))) % MODULUS


def fanned(number: int) -> int:
    """What an element of a fan-out gives."""
    return number * number % MODULUS


def layers(count: int, width: int, reads: int, step: Step = "sum", size: int = 0) -> Work:
    """`count` layers of `width`, and a last node that reads a whole layer.

    Each other node reads `reads` nodes of the layer before.
    """
    chance = random.Random(SEED)
    found: list[Sequence[int]] = [() for _ in range(width)]
    for first in range(0, (count - 1) * width, width):
        layer = range(first, first + width)
        found += [chance.sample(layer, min(reads, width)) for _ in layer]
    found.append(range((count - 1) * width, count * width))
    return Work(step, width, [list(one) for one in found], size)


def commands(count: int) -> Work:
    """So many commands that depend on nothing."""
    return Work("command", count, [[] for _ in range(count)])


def fan_out(elements: int) -> Work:
    """A list of numbers, a function for each, and their sum."""
    return Work(elements=elements)


def document(work: Work, *, is_async: bool = False, cache: str = "auto") -> str:
    """The workflow of it in JSON, as a person or a program would write it."""
    if work.elements:
        nodes = _fan_out(work, cache)
        last = "total"
    else:
        nodes = {f"n{i}": _node(work, i, is_async, cache) for i in range(len(work.reads))}
        last = f"n{len(work.reads) - 1}"
    port = "stdout" if work.step == "command" else "result"
    outputs = {"last": f"${{{{ {last}.{port} }}}}"}
    return json.dumps({"symphony": 1, "name": "written", "nodes": nodes, "outputs": outputs})


def _fan_out(work: Work, cache: str) -> dict[str, dict[str, object]]:
    return {
        "numbers": {"operator": "written.numbers", "inputs": {"count": work.elements}},
        "squares": {
            "for_each": "numbers.result",
            "operator": "written.square",
            "inputs": {"number": "${{ item }}"},
            **({} if cache == "auto" else {"cache": cache}),
        },
        "total": {"operator": "written.total", "inputs": {"values": "${{ squares.result }}"}},
    }


def _node(work: Work, number: int, is_async: bool, cache: str) -> dict[str, object]:
    if work.step == "command":
        return {"command": f"printf %s {number}"}
    read = [f"${{{{ n{other}.result }}}}" for other in work.reads[number]]
    if work.step == "text" and number == len(work.reads) - 1:
        return {"operator": "written.checksum", "inputs": {"inputs": read}}
    if work.step == "text":
        inputs = {"number": number, "size": work.size, "inputs": read}
        return {"operator": "written.text", "inputs": inputs}
    operator = "written.sum_async" if is_async else "written.sum"
    made: dict[str, object] = {"operator": operator, "inputs": {"inputs": read or [number]}}
    return made if cache == "auto" else made | {"cache": cache}
