"""Splits long inputs for models that take them element by element. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from symphony.ports.values import Value

PART_ITEMS_MAX = 32
PART_BYTES_MAX = 1024 * 1024
"""A part of a split input is closed once its texts reach this, so frames stay small."""


@dataclass(frozen=True, slots=True)
class Elementwise:
    """The list port `input` may be split at will; the list port `output` corresponds to it."""

    input: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """The process of one model. `argv` starts it, `fingerprint` names the model's weights and code.

    Without `elementwise`, a call travels whole. `size_bytes` estimates the memory that the process
    takes; once it is loaded, what it takes is measured. `step_cpu_s` is for models that do nothing but
    compute in their own process: the most processor time, in seconds, between two signs that a call gets
    on. A call that takes more, or none, is ended as one that hangs. `slots` is how many calls it answers at
    once, 1 or more.
    """

    argv: tuple[str, ...]
    fingerprint: str
    elementwise: Elementwise | None = None
    size_bytes: int = 0
    step_cpu_s: float | None = None
    slots: int = 1


def parts(inputs: Mapping[str, Value], rule: Elementwise | None) -> Iterator[Mapping[str, Value]]:
    """`inputs` in pieces of at most 32 elements and about 1 MiB; whole where no rule applies."""
    given = inputs.get(rule.input) if rule is not None else None
    if rule is None or not isinstance(given, list) or not given:
        yield inputs
        return
    part: list[Value] = []
    size = 0
    for element in given:
        weight = _weight(element)
        if part and (len(part) == PART_ITEMS_MAX or size + weight > PART_BYTES_MAX):
            yield {**inputs, rule.input: part}
            part, size = [], 0
        part.append(element)
        size += weight
    yield {**inputs, rule.input: part}


def _weight(element: Value) -> int:
    """Characters, or 1: an estimate that needs no encoding."""
    return len(element) if isinstance(element, (str, bytes)) else 1


def joined(outputs: Sequence[Mapping[str, Value]], rule: Elementwise | None) -> dict[str, Value]:
    """The outputs of all parts (at least one) as those of one call."""
    whole = dict(outputs[0])
    if rule is not None and len(outputs) > 1:
        every: list[Value] = []
        for output in outputs:
            piece = output.get(rule.output)
            every.extend(piece if isinstance(piece, list) else [piece])
        whole[rule.output] = every
    return whole
