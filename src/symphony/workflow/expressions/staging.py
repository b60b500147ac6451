"""Evaluates large lists in macros in chunks, outside the library's own loop. Pure.

The library builds the list of `map` and `filter` in quadratic time (8,000 elements: 1.3 s) and
ends every evaluation after 10,000 steps. Here each outermost macro call becomes a variable whose
value is computed chunk by chunk, which is linear and bounded for each chunk. Only for large
lists: expressions over short ones go to the library whole.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import TypeAlias

import msgspec

from symphony.workflow.expressions.celtypes import whole
from symphony.workflow.expressions.scan import MACROS, Token, ends_operand, tokens

Data: TypeAlias = Mapping[str, object]
Evaluate: TypeAlias = Callable[[str, Data], object]
"""Returns the value of a text whose variables are all in the data. Raises EvaluationFailed."""

LARGE = 200
_CHUNK_SIZE = 64
_CHUNK_SIZE_BESIDE_LARGE = 1_024  # each chunk converts the other values again
_VISITED_MAX = 2_000
_SINGLE_MAX = 2_000
_OPEN, _CLOSE = "([{", ")]}"


class EvaluationFailed(Exception):
    """The library's complaint. `out_of_steps`: the evaluation was ended because of its length."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
        self.out_of_steps = "budget exceeded" in message


class NotStaged(Exception):
    """The parts of an expression cannot be evaluated one by one after all."""


class _Call(msgspec.Struct, frozen=True):
    """One macro call: the variable that takes its place, what it runs over, and what it does."""

    variable: str
    macro: str
    range: "Stage"
    chunk: str
    """The variable of one chunk."""
    each: str
    """The macro over one chunk, as text."""
    reads: frozenset[str]


class Stage(msgspec.Struct, frozen=True):
    """A text in which macro calls are replaced by variables, and those calls."""

    text: str
    calls: tuple[_Call, ...]

    @property
    def strict(self) -> bool:
        """True if every call is evaluated in any case, so that its failure is that of the whole."""
        if len(self.calls) != 1:
            return not self.calls
        return self.text.strip() == self.calls[0].variable and self.calls[0].range.strict

    def run(self, data: Data, evaluate: Evaluate) -> object:
        """Return the value. Raises EvaluationFailed, NotStaged."""
        name = self.text.strip()
        if name in data:
            return data[name]
        if not self.calls:
            return evaluate(self.text, data)
        found = {call.variable: _value(call, data, evaluate) for call in self.calls}
        if name in found:
            return found[name]
        return evaluate(self.text, {**data, **{key: whole(value) for key, value in found.items()}})


def stage(text: str, prefix: str) -> Stage | None:
    """Return `text` with its outermost macro calls taken out; None if there are none, or none may be.

    New variables are `prefix` and a digit, or `prefix` and `c`: those must not occur in `text`.
    """
    if any(t.text == "uint" or (t.kind == "number" and t.text[-1] in "uU") for t in tokens(text)):
        return None  # unsigned integers come out as plain ones, and would not go in again
    staged = _staged(text, (f"{prefix}{number}" for number in count(1)), f"{prefix}c")
    return staged if staged.calls else None


def is_large(values: Sequence[object]) -> bool:
    """True if the values contain a list or map with more than `LARGE` elements."""
    stack, visited = list(values), 0
    while stack:
        value = stack.pop()
        if isinstance(value, list | dict):
            visited += len(value)
            if len(value) > LARGE or visited > _VISITED_MAX:
                return True
            stack.extend(value if isinstance(value, list) else value.values())
    return False


def _staged(text: str, variables: Iterator[str], chunk: str) -> Stage:
    found = tokens(text)
    pairs = bracket_pairs(found)
    out, at, calls = "", 0, list[_Call]()
    for first, dot in _outermost(found, pairs):
        opening = dot + 2
        closing = pairs[opening]
        macro = found[dot + 1].text
        variable = next(variables)
        arguments = text[found[opening].start : found[closing].end]
        calls.append(
            _Call(
                variable=variable,
                macro=macro,
                range=_staged(text[found[first].start : found[dot].start], variables, chunk),
                chunk=chunk,
                each=f"{chunk}.{'filter' if macro == 'exists_one' else macro}{arguments}",
                reads=frozenset(t.text for t in found[opening:closing] if t.kind == "ident"),
            )
        )
        out += text[at : found[first].start] + variable
        at = found[closing].end
    return Stage(out + text[at:], tuple(calls))


def bracket_pairs(found: Sequence[Token]) -> dict[int, int]:
    """Return the matching bracket for each bracket; unbalanced ones are left out."""
    pairs, stack = dict[int, int](), list[int]()
    for i, token in enumerate(found):
        if token.kind == "op" and token.text in _OPEN:
            stack.append(i)
        elif token.kind == "op" and token.text in _CLOSE and stack:
            opening = stack.pop()
            pairs[opening], pairs[i] = i, opening
    return pairs


def _outermost(found: Sequence[Token], pairs: Mapping[int, int]) -> list[tuple[int, int]]:
    """For each macro call that is in no other's arguments or range: its first token and its dot.

    From the right, so that of `a.filter(…).map(…)` the whole is found first.
    """
    spans = list[tuple[int, int]]()
    limit = len(found)
    arguments = _in_arguments(found, pairs)
    for dot in range(len(found) - 3, 0, -1):
        if dot < limit and is_macro(found, pairs, dot) and dot not in arguments:
            limit = operand_start(found, pairs, dot - 1)
            spans.append((limit, dot))
    return spans[::-1]


def is_macro(found: Sequence[Token], pairs: Mapping[int, int], dot: int) -> bool:
    """True if token `dot` is the one of `.map(x, …)`."""
    if found[dot].text != "." or found[dot + 1].text not in MACROS or dot + 2 not in pairs:
        return False
    opening = dot + 2
    return (
        found[opening].text == "("
        and ends_operand(found[dot - 1])
        and pairs[opening] > opening + 2
        and found[opening + 1].kind == "ident"
        and found[opening + 2].text == ","
    )


def _in_arguments(found: Sequence[Token], pairs: Mapping[int, int]) -> set[int]:
    """Return the tokens that stand in some macro's arguments, where its variable is bound."""
    inside, at = set[int](), 0
    while at < len(found) - 2:
        at += 1
        if is_macro(found, pairs, at):
            closing = pairs[at + 2]
            inside.update(range(at + 2, closing))
            at = closing
    return inside


def operand_start(found: Sequence[Token], pairs: Mapping[int, int], last: int) -> int:
    """Return the first token of the operand that ends with token `last`."""
    at = last
    while True:
        if found[at].kind == "op" and found[at].text in _CLOSE:
            at = pairs[at]
            if at and ends_operand(found[at - 1]):  # a call, an index, a message being built
                at -= 1
                if found[at].kind != "ident":
                    continue
        if at and found[at - 1].text == ".":
            if at < 2 or not ends_operand(found[at - 2]):
                return at - 1
            at -= 2
            continue
        return at


def _value(call: _Call, data: Data, evaluate: Evaluate) -> object:
    items = call.range.run(data, evaluate)
    if isinstance(items, dict):
        items = list(items)
    if not isinstance(items, list):
        raise NotStaged
    if call.range.text.strip() not in data:  # otherwise it came from outside and is whole already
        items = [whole(item) for item in items]
    beside = {name: data[name] for name in call.reads if name in data}
    size = _CHUNK_SIZE_BESIDE_LARGE if is_large(list(beside.values())) else _CHUNK_SIZE
    chunks = (items[i : i + size] for i in range(0, len(items), size))
    run = _Chunks(call, beside, evaluate)
    match call.macro:
        case "all":
            return run.decide(chunks, False)
        case "exists":
            return run.decide(chunks, True)
        case "exists_one":
            return sum(len(part) for part in run.lists(chunks)) == 1
    return [element for part in run.lists(chunks) for element in part]


class _Chunks:
    """Evaluates one macro call over chunks of its list."""

    def __init__(self, call: _Call, beside: Data, evaluate: Evaluate) -> None:
        self._call, self._beside, self._evaluate = call, beside, evaluate
        self._single = 0

    def lists(self, chunks: Iterator[list[object]]) -> Iterator[list[object]]:
        """Yield the list that each chunk gives."""
        for chunk in chunks:
            for found in self._of(chunk):
                if not isinstance(found, list):
                    raise NotStaged
                yield found

    def decide(self, chunks: Iterator[list[object]], sought: bool) -> bool:
        """True if any of the chunks is `sought`. As in CEL, that hides failures of other elements."""
        failure: EvaluationFailed | None = None
        for chunk in chunks:
            try:
                if any(found is sought for found in self._of(chunk)):
                    return sought
            except EvaluationFailed as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return not sought

    def _of(self, chunk: list[object]) -> Iterator[object]:
        """Yield the chunk at once; one element at a time if it takes too many steps together."""
        try:
            yield self._evaluate(self._call.each, {**self._beside, self._call.chunk: chunk})
        except EvaluationFailed as error:
            self._single += len(chunk)
            if not error.out_of_steps or len(chunk) == 1 or self._single > _SINGLE_MAX:
                raise
        else:
            return
        for element in chunk:
            yield self._evaluate(self._call.each, {**self._beside, self._call.chunk: [element]})
