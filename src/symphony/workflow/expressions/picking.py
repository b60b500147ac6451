"""Expressions that pick parts of values, such as `read.lines[index].text`. Pure.

The evaluator copies a list before it looks at one element. If each of n elements of a fan-out picks its own
element from another list, each costs n steps. Here the part is picked directly. An expression that does more
with the part, such as `read.lines[index] + 1`, gets only the part. If there is no such part, or the evaluator
might see it differently, the evaluator decides.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from symphony.ports.values import Value
from symphony.workflow.expressions.evaluation import Lookup, Program, Renamed
from symphony.workflow.expressions.scan import PlacedReference, Read, Token, tokens

Step: TypeAlias = int | str | Read
"""The number of an element, the name of a field, or a read that gives one of them."""

_WHOLE: Final = frozenset({"port", "input", "state", "item"})
"""The kinds of reads whose value is held as it is."""
_DIGITS_MAX: Final = 9


class Pick(NamedTuple):
    """The part of the value of `read` that `steps` lead to. With `counts`, only the number of its
    elements.
    """

    read: Read
    steps: tuple[Step, ...]
    counts: bool = False


class NotPicked(Exception):
    """There is no such part, or the evaluator must decide."""


def pick_of(program: Program) -> Pick | None:
    """Return what the expression picks, if it does nothing else and declared types do not change it."""
    expression = program.expression
    found = {one.start: one for one in expression.found}
    texts = tokens(expression.original)
    counts = len(texts) > 3 and [texts[0].text, texts[1].text, texts[-1].text] == ["size", "(", ")"]
    if counts:
        texts = texts[2:-1]
    if not texts or (first := found.get(texts[0].start)) is None or not _may_pick(program, first.read):
        return None
    rest = [token for token in texts if token.start >= first.end]
    steps, end = _steps(rest, found)
    if end < len(rest) or not (steps or counts):
        return None
    return Pick(first.read, tuple(steps), counts)


class PickedParts(NamedTuple):
    """Renders a template with variables for the parts that it picks.

    `picks` are the parts, by what reads them; `reads` are its other reads. It gives what the whole template
    gives, unless that fails.
    """

    value: Callable[[Lookup], Value]
    picks: Mapping[Read, Pick]
    reads: tuple[Read, ...]


def with_parts(program: Program, known: dict[Pick, Read]) -> Program:
    """Return the expression with variables for what it picks, which `known` tells; itself if that is nothing.

    Raises BadExpression where it cannot be evaluated so: a macro such as `has` takes no variable.
    """
    expression = program.expression
    found = {one.start: one for one in expression.found}
    texts = tokens(expression.original)
    placed: list[PlacedReference] = []
    end = 0
    for one in expression.found:
        if one.start < end:
            continue  # it is inside the brackets of the previous part
        rest = [token for token in texts if token.start >= one.end]
        steps, count = _steps(rest, found) if _may_pick(program, one.read) else ([], 0)
        if not steps:
            placed.append(one)
            continue
        part = Pick(one.read, tuple(steps))
        end = rest[count - 1].end
        read = known.setdefault(part, Read("item", f"part {len(known)}"))
        placed.append(PlacedReference(read, one.start, end))
    if end == 0:
        return program
    made = Program(Renamed(expression.original, placed))
    made.kinds = program.kinds
    made.ready()
    return made


def _may_pick(program: Program, read: Read) -> bool:
    return read.kind in _WHOLE and not program.makes_doubles(read)


def _steps(rest: Sequence[Token], found: dict[int, PlacedReference]) -> tuple[list[Step], int]:
    """Return the steps that `rest` begins with, and how many tokens they are."""
    steps, at = list[Step](), 0
    while at < len(rest):
        if rest[at].text == "." and at + 1 < len(rest) and rest[at + 1].kind == "ident":
            if at + 2 < len(rest) and rest[at + 2].text == "(":
                break  # a function of the evaluator's
            steps.append(rest[at + 1].text)
            at += 2
        elif rest[at].text == "[" and at + 2 < len(rest):
            step, after = _subscript(rest, at + 1, found)
            if step is None or after >= len(rest) or rest[after].text != "]":
                break
            steps.append(step)
            at = after + 1
        else:
            break
    return steps, at


def _subscript(rest: Sequence[Token], at: int, found: dict[int, PlacedReference]) -> tuple[Step | None, int]:
    """Return the content of brackets from `at` on, and the token after it."""
    token = rest[at]
    read = found.get(token.start)
    if read is not None:
        after = next((i for i in range(at, len(rest)) if rest[i].start >= read.end), len(rest))
        return read.read, after
    if token.kind == "number" and token.text.isdecimal() and len(token.text) <= _DIGITS_MAX:
        return int(token.text), at + 1
    inner = token.text[1:-1]
    if token.kind == "string" and token.text[0] in "\"'" and not set(inner) & set("\\\"'\n\r"):
        return inner, at + 1
    return None, at


def picked(pick: Pick, value: Value, lookup: Lookup) -> Value:
    """Return the picked part of `value`, or its size. Raises NotPicked."""
    for step in pick.steps:
        key = lookup(step) if isinstance(step, Read) else step
        if type(value) is list:
            if type(key) is not int or not 0 <= key < len(value):
                raise NotPicked
            value = value[key]
        elif type(value) is dict:
            if type(key) is not str or key not in value:
                raise NotPicked
            value = value[key]
        else:
            raise NotPicked
    if not pick.counts:
        return value
    if isinstance(value, list | dict):
        return len(value)
    raise NotPicked
