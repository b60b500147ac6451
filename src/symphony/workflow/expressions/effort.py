"""Estimates the cost of evaluating a template from its text and the values that it reads. Pure.

The estimate is an upper bound, in steps of about a microsecond. A macro runs over no more elements than the
longest list or map among the values (joined ones count separately) and the lists in the text. Its body counts
once for each element, that of a nested macro once for each pair. If chained macros use their variable more
than once, what they build may grow each time.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, Literal, TypeAlias

import msgspec

from symphony.ports.values import Value
from symphony.workflow.expressions.scan import MACROS, Read, Token, reference_in, references, tokens
from symphony.workflow.expressions.splitting import bare, split, strings

Form: TypeAlias = Literal["template", "condition", "transform"]

_CHARS: Final = 256
"""The characters that are copied in one step."""
_SEARCH: Final = 100_000
"""The pairs of characters that `contains` compares in one step, at worst."""
_MATCH: Final = 5
"""Steps of `matches` for each character, at worst."""
_PATTERN: Final = 100
"""Steps to make a pattern ready."""
SHORT: Final = 64
"""The most characters of a short text."""
LIGHT_STEPS: Final = 200
"""The most steps of a light expression."""
_MOST: Final = 1 << 60
_OPEN, _CLOSE = "([{", ")]}"


class Size(msgspec.Struct, frozen=True):
    """The size of one value: its scalars, lists, maps and keys; its characters; its longest list or map."""

    elements: int
    chars: int
    longest: int


class _Use(msgspec.Struct, frozen=True):
    """A reference, and how many macros deep it is."""

    read: Read
    depth: int


class ExpressionShape(msgspec.Struct, frozen=True):
    """One expression: what it does, by how many macros deep it stands, and what is in it."""

    steps: tuple[int, ...]
    uses: tuple[_Use, ...]
    variables: tuple[int, ...]
    """The depth of each use of a macro's whole variable."""
    fields: tuple[int, ...]
    """The depth of each use of a field of a macro's variable."""
    matches: tuple[int, ...]
    listed: int
    growth: int
    contains: bool
    chars: int
    joins: bool
    """True if it only joins texts and what it reads, so that its size is known in advance."""


def shapes_of(source: Value, form: Form, carried: Read | None = None) -> tuple[ExpressionShape, ...]:
    """Return the expressions of a template compiled from `source`. `carried` is what `value` reads."""
    if form == "template":
        return tuple(_shapes_in(source))
    assert isinstance(source, str)
    shape = shape_of(bare(source), form == "transform")
    if carried is None:
        return (shape,)
    uses = [_Use(carried, use.depth) if use.read.kind == "value" else use for use in shape.uses]
    return (msgspec.structs.replace(shape, uses=tuple(uses)),)


def _shapes_in(source: Value) -> Iterator[ExpressionShape]:
    for text in strings(source):
        if reference_in(text) is None:
            yield from (shape_of(part, False) for is_expression, part in split(text) if is_expression)


@lru_cache(maxsize=4_096)
def shape_of(text: str, value: bool) -> ExpressionShape:
    """Return the shape of one CEL text. For `value`, see `references`."""
    look = _Look(text, value)
    look.run()
    grown = sorted(max(1, uses) for name, uses in look.macros if name == "map")
    deepest = max(look.depths, default=0)
    return ExpressionShape(
        steps=tuple(look.depths.count(depth) for depth in range(deepest + 1)),
        uses=tuple(look.uses),
        variables=tuple(look.variables),
        fields=tuple(look.fields),
        matches=tuple(look.matches),
        listed=look.listed,
        growth=_product(grown[:-1] * max(1, deepest)),
        contains=any(token.text == "contains" for token in look.found),
        chars=sum(len(token.text) for token in look.found if token.kind == "string"),
        joins=look.joins,
    )


class _Look:
    """One pass over the tokens of a text."""

    def __init__(self, text: str, value: bool) -> None:
        self.found = tokens(text)
        self._references = {one.start: one for one in references(text, value)}
        self.depths, self.variables, self.fields = list[int](), list[int](), list[int]()
        self.matches, self.uses = list[int](), list[_Use]()
        self._names, self._counts = list[str](), list[int]()
        self.listed, self.joins = 1, True
        self._open: list[tuple[str, str, int]] = []  # a bracket, the variable that it binds, its macro
        self._passed = -1  # the characters before this one, and the token, are dealt with
        self._named = -1

    def run(self) -> None:
        """Look at each token once."""
        for at, token in enumerate(self.found):
            depth = sum(bound != "" for _, bound, _ in self._open)
            self.depths.append(depth)
            if token.start < self._passed:
                continue
            one = self._references.get(token.start)
            if one is not None:
                self.uses.append(_Use(one.read, depth))
                self._passed = one.end
                continue
            if token.kind != "string" and token.text not in "+()":
                self.joins = False
            if token.kind == "op":
                self._operator(at, token)
            elif token.kind == "ident":
                self._identifier(at, token, depth)

    @property
    def macros(self) -> Iterable[tuple[str, int]]:
        """Return the name of each macro, and how often its variable is used."""
        return zip(self._names, self._counts, strict=True)

    def _operator(self, at: int, token: Token) -> None:
        if token.text in _OPEN:
            bound = self._bound(at)
            if bound:
                self._names.append(self.found[at - 1].text)
                self._counts.append(0)
            self._open.append((token.text, bound, len(self._names) - 1))
        elif token.text in _CLOSE and self._open:
            self._open.pop()
        elif token.text == "," and self._open and self._open[-1][0] in "[{":
            self.listed += 1

    def _identifier(self, at: int, token: Token, depth: int) -> None:
        if token.text == "matches":
            self.matches.append(depth)
        if at == self._named or (at and self.found[at - 1].text == "."):
            return
        for _, bound, number in reversed(self._open):
            if bound == token.text:
                self._counts[number] += 1
                (self.fields if _selects(self.found, at) else self.variables).append(depth)
                return

    def _bound(self, at: int) -> str:
        """Return the variable of the macro whose bracket this is, empty if it is not a macro's."""
        found = self.found
        if found[at].text != "(" or at < 2 or found[at - 1].text not in MACROS or found[at - 2].text != ".":
            return ""
        for i in range(at + 1, len(found)):
            if found[i].kind == "ident":
                self._named = i
                return found[i].text
        return ""


def _selects(found: Sequence[Token], at: int) -> bool:
    return at + 1 < len(found) and found[at + 1].text in (".", "[")


def _product(factors: Iterable[int]) -> int:
    product = 1
    for factor in factors:
        product = min(product * factor, _MOST)
    return product


def measured(value: Value, most: int) -> Size:
    """Return the size of a value. Looks no further than `most` elements."""
    if isinstance(value, str | bytes):
        return Size(1, len(value), 0)
    if not isinstance(value, list | dict):
        return _ONE
    elements, chars, longest = 1, 0, 0
    stack: list[list[Value] | dict[str, Value]] = [value]
    while stack and elements <= most:
        item = stack.pop()
        longest = max(longest, len(item))
        elements += len(item)
        if elements > most:
            break
        if isinstance(item, dict):
            elements += len(item)
            chars += sum(map(len, item))
            inside: Iterable[Value] = item.values()
        else:
            inside = item
        for part in inside:
            if isinstance(part, str | bytes):
                chars += len(part)
            elif isinstance(part, list | dict):
                stack.append(part)
    return Size(elements, chars, longest)


_ONE = Size(1, 0, 0)
_FEW = Size(1, SHORT, 0)


def is_light(shapes: Sequence[ExpressionShape], reads: Iterable[Read]) -> bool:
    """True if evaluation is almost free when everything read is numbers and short texts."""
    sizes = dict.fromkeys(reads, _FEW)
    return sum(_effort(shape, sizes) for shape in shapes) <= LIGHT_STEPS


Sizes: TypeAlias = dict[int, tuple[Value, Size]]
"""Sizes by the identity of the value, which is held so that the identity stays its own."""


def effort(shapes: Sequence[ExpressionShape], values: Mapping[Read, Value], most: int, known: Sizes) -> int:
    """Return the steps that evaluation may take, or a number above `most` if there are more.

    `known` is what was measured before, and is added to.
    """
    sizes = {read: _size(value, most, known) for read, value in values.items()}
    total = 0
    for shape in shapes:
        total += _effort(shape, sizes)
        if total > most:
            break
    return total


def _size(value: Value, most: int, known: Sizes) -> Size:
    if not isinstance(value, list | dict):
        return measured(value, most)
    found = known.get(id(value))
    if found is None:
        found = known[id(value)] = (value, measured(value, most))
    return found[1]


def _effort(shape: ExpressionShape, sizes: Mapping[Read, Size]) -> int:
    elements = chars = 0
    longest, steps = shape.listed, 0
    for use in shape.uses:
        size = sizes.get(use.read, _ONE)
        elements += size.elements
        chars += size.chars
        longest += size.longest
    chars += shape.chars
    if len(shape.steps) == 1:  # no macros
        steps = shape.steps[0] + elements + chars // _CHARS
    else:
        for depth, count in enumerate(shape.steps):
            steps += count * longest**depth
        for use in shape.uses:
            size = sizes.get(use.read, _ONE)
            steps += (size.elements + size.chars // _CHARS) * longest**use.depth
        whole = elements + chars // _CHARS
        steps += sum(whole * longest ** max(0, depth - 1) for depth in shape.variables)
        steps += sum(chars // _CHARS * longest ** max(0, depth - 1) for depth in shape.fields)
    for depth in shape.matches:
        steps += _PATTERN * longest**depth + _MATCH * chars * longest ** max(0, depth - 1)
    if shape.contains:
        steps += chars * chars // _SEARCH
    return min(steps * shape.growth, _MOST)


def least_chars(shapes: Sequence[ExpressionShape], values: Mapping[Read, Value]) -> int:
    """Return a lower bound for the result's characters, bytes or elements, for expressions that only join."""
    least = 0
    for shape in shapes:
        if shape.joins:
            for use in shape.uses:
                value = values.get(use.read)
                if isinstance(value, str | bytes | list):
                    least += len(value)
    return least
