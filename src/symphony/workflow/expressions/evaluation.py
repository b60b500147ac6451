"""CEL's checker and evaluator, behind expressions whose references have become variables.

Each expression is compiled with declared types, to check it and to learn its type, and, when it is
first evaluated, with dynamic variables, because any port may turn out to be null. If nothing is
declared, one compilation serves both.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from symphony.ports.values import Value
from symphony.workflow.expressions import celtypes
from symphony.workflow.expressions.chains import (
    CHAINS_MAX,
    GUARDS,
    Chain,
    chains,
    guarded,
    regrouped,
    unless_doubles,
)
from symphony.workflow.expressions.errors import (
    DOUBLES,
    BadExpression,
    ExpressionFailed,
    first_error,
    hint_for,
    named,
    reworded,
)
from symphony.workflow.expressions.ladders import halved
from symphony.workflow.expressions.moments import exact
from symphony.workflow.expressions.nulls import repay
from symphony.workflow.expressions.order import Orders
from symphony.workflow.expressions.scan import PlacedReference, Read, tokens
from symphony.workflow.expressions.staging import Data, EvaluationFailed, NotStaged, Stage, is_large, stage
from symphony.workflow.expressions.walks import built_maps, ordered_walks
from symphony.workflow.types import ANY, PortType

if TYPE_CHECKING:
    from cel_expr_python import cel

Lookup: TypeAlias = Callable[[Read], Value]

_Signature: TypeAlias = tuple[tuple[str, PortType, bool], ...]
"""The variables of an expression: for each its name, its type, and whether it may be null."""

_SHOWN = 80
_TYPES_MAX = 16_384
_ERRORS = (RuntimeError, TypeError, ValueError, OverflowError)
_MACRO = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(")
_MOMENT = re.compile(r"timestamp|duration", re.IGNORECASE)
_WALK = re.compile(r"\.\s*(?:map|filter)\s*\(")
_NULL = re.compile(r"\bnull\b")
_QUOTE = re.compile(r"[\"'`]")
_QUOTED = re.compile(r"\"[^\"\\\x00-\x1f\x7f\ud800-\udfff]*\"|'[^'\\\x00-\x1f\x7f\ud800-\udfff]*'")
_UNSURE = re.compile(r"[(\\`]|\"\"\"|'''")
_WHOLE_NUMBER = re.compile(r"(?<![\w.])[0-9]{1,18}(?![\w.])", re.ASCII)
_DYNAMIC = frozenset({"any", "json", "artifact", celtypes.TIMESTAMP.kind})
_MAYBE_NULL = ("port", "item", "state", "value")


class Renamed:
    """An expression with a variable in place of each reference."""

    __slots__ = ("deep", "found", "names", "original", "prefix", "text")

    def __init__(self, original: str, found: Sequence[PlacedReference]) -> None:
        self.original, self.found = original, found
        self.deep = False
        """True if it was found to be too deep for the library as it is."""
        self.prefix = "_0"
        while self.prefix in original:  # a macro's variable may have the same name
            self.prefix += "0"
        self.names: dict[Read, str] = {}
        if len(found) == 1:
            (one,) = found
            name = self.names[one.read] = self.prefix + "r0"
            self.text = f"{original[: one.start]}{name}{original[one.end :]}"
            return
        for one in found:
            if one.read not in self.names:
                self.names[one.read] = f"{self.prefix}r{len(self.names)}"
        at = 0
        out: list[str] = []
        for one in found:
            out += (original[at : one.start], self.names[one.read])
            at = one.end
        self.text = "".join((*out, original[at:]))

    def spoken(self, message: str) -> str:
        """Return a message of the library with the author's names."""
        return named(message, {name: str(read) for read, name in self.names.items()})

    def position(self, line: int, column: int) -> int | None:
        """Return the character of the original text, from 1, that the library's position means."""
        if not line or not column:
            return None
        at = sum(len(one) + 1 for one in self.text.split("\n")[: line - 1]) + column - 1
        longer = 0  # by how much the original is ahead of the renamed text
        for one in self.found:
            start, width = one.start - longer, len(self.names[one.read])
            if at < start + width:
                at = min(at, start)
                break
            longer += one.end - one.start - width
        blanks = len(self.original) - len(self.original.lstrip())
        return min(at + longer - blanks, len(self.original.strip())) + 1


def check(expression: Renamed, types: Sequence[PortType]) -> PortType:
    """Return the type of an expression's results. `types` has those of its names. Raises BadExpression."""
    signature: _Signature = tuple(
        [
            (name, kind, read.kind in _MAYBE_NULL)
            for (read, name), kind in zip(expression.names.items(), types, strict=True)
        ]
    )
    try:
        kind = _checked(expression.text, signature)
    except _ERRORS as error:
        kind, _ = _flattened(expression, signature, error)
        expression.deep = True
    found = celtypes.to_port(kind)
    if found is None:
        message = f"the result is {kind.lower()}, which cannot travel between nodes"
        hint = "give a text, a number, a list, or a map with texts as keys"
        raise BadExpression(message, problem_code="type-mismatch", hint=hint)
    return found


def _flattened(expression: Renamed, signature: _Signature, error: Exception) -> tuple[str, str]:
    """Return the type of an expression that `error` refuses for its depth, and its text regrouped.

    Long sums and ladders are regrouped. Raises BadExpression, also where it is refused for something
    else.
    """
    message, line, column = first_error(str(error))
    if "recursion" not in message.lower():
        raise _refused(expression, message, expression.position(line, column)) from None
    text = halved(expression.text)
    found = chains(text)
    if len(found) > CHAINS_MAX:
        found = ()
    try:
        kind = _checked(regrouped(text, found, {}), signature)
    except _ERRORS as again:
        raise _refused(expression, first_error(str(again))[0], None) from None
    around: dict[int, tuple[str, str]] = {}
    for number, chain in enumerate(found):
        fitting = (guard for guard in GUARDS if _fits(text, found, number, guard, signature))
        guard = next(fitting, None)
        if guard is None:
            raise BadExpression(DOUBLES, problem_code="limit-exceeded", hint="add them up in an operator")
        if guard == GUARDS[0] and _fits(text, found, number, GUARDS[1], signature):  # of a dynamic type
            around[number] = unless_doubles(text, chain)
    return kind, regrouped(text, found, around)


def _fits(text: str, found: Sequence[Chain], number: int, guard: str, signature: _Signature) -> bool:
    try:
        _checked(guarded(text, found, number, guard), signature)
    except _ERRORS:
        return False
    return True


def _refused(expression: Renamed, message: str, at: int | None) -> BadExpression:
    if "recursion" in message.lower():
        hint = "split it over several nodes"
        return BadExpression("the expression is nested too deeply", problem_code="limit-exceeded", hint=hint)
    where = f" (at character {at})" if at is not None and len(expression.original.strip()) > 1 else ""
    return BadExpression(expression.spoken(message) + where, hint=hint_for(message))


_types: dict[tuple[str, _Signature, bool], str] = {}
"""Known types, by the form of the text, its variables, and whether it mentions null."""


def _checked(text: str, signature: _Signature) -> str:
    """Return the CEL type of `text`, found once for all texts of its form."""
    loose = "null" in text and _NULL.search(text) is not None
    known = form_of(text), signature, loose
    found = _types.get(known)
    if found is None:
        if len(_types) >= _TYPES_MAX:
            _types.clear()
        found = _types[known] = _compiled_type(text, signature, loose)
    return found


def form_of(text: str) -> str:
    """Return the text with whole numbers and plain strings replaced: texts of one form have one CEL type.

    A number that may be too large or of another type is left as it is, and so are strings beside
    brackets and escapes, which functions may look into.
    """
    if _QUOTE.search(text):
        if _UNSURE.search(text):
            return text
        text = _QUOTED.sub('""', text)
    return _WHOLE_NUMBER.sub("0", text)


def forget_types() -> None:
    """Forget all types, so that every expression is checked again."""
    _types.clear()


def _compiled_type(text: str, signature: _Signature, loose: bool) -> str:
    variables = _as_evaluated(signature)
    if variables is not None:
        return str(_program(text, variables).return_type())
    return str(_checker(signature, loose).compile(text).return_type())


@lru_cache(maxsize=1024)
def _as_evaluated(signature: _Signature) -> tuple[tuple[str, bool], ...] | None:
    """Return the variables of evaluation, if nothing more is declared; None if a check knows more than
    that.
    """
    return _variables(signature) if all(kind.kind in _DYNAMIC for _, kind, _ in signature) else None


def _variables(signature: _Signature) -> tuple[tuple[str, bool], ...]:
    return tuple(sorted((name, kind == celtypes.TIMESTAMP) for name, kind, _ in signature))


@lru_cache(maxsize=1024)
def _checker(signature: _Signature, loose: bool) -> "cel.Env":
    from cel_expr_python import cel

    return cel.NewEnv(
        variables={
            name: celtypes.checked_type(kind, nullable=nullable, loose=loose)
            for name, kind, nullable in signature
        }
    )


@lru_cache(maxsize=256)
def _environment(variables: tuple[tuple[str, bool], ...]) -> "cel.Env":
    """Return an environment of dynamic variables, except timestamps, which do not pass as dynamic ones."""
    from cel_expr_python import cel

    types = {name: cel.Type.TIMESTAMP if moment else cel.Type.DYN for name, moment in variables}
    return cel.NewEnv(variables=types)


@lru_cache(maxsize=2048)
def _program(text: str, variables: tuple[tuple[str, bool], ...]) -> "cel.Expression":
    return _environment(variables).compile(text)


@lru_cache(maxsize=2048)
def _identifiers(text: str) -> frozenset[str]:
    return frozenset(token.text for token in tokens(text) if token.kind == "ident")


def _evaluate(text: str, data: Data, orders: Orders) -> object:
    """Return the value of `text`, as the library gives it. Raises EvaluationFailed."""
    used = {name: data[name] for name in sorted(_identifiers(text) & data.keys())}
    variables = tuple((name, isinstance(value, datetime)) for name, value in used.items())
    try:
        program = _walking(text, variables, used, orders) if _WALK.search(text) else None
        result = (program or _program(text, variables)).eval(data=used)
        plain = result.plain_value()
        if program is not None and isinstance(plain, str) and EvaluationFailed(plain).out_of_steps:
            result = _program(text, variables).eval(data={name: used[name] for name, _ in variables})
            plain = result.plain_value()
        repay(plain)
        if _MOMENT.search(text) or any(moment for _, moment in variables):
            plain = exact(result, plain)
    except _ERRORS as error:
        raise EvaluationFailed(str(error)) from None
    if isinstance(plain, str) and result.type().name() == "ERROR":
        raise EvaluationFailed(plain)
    return plain


def _walking(
    text: str, variables: tuple[tuple[str, bool], ...], used: dict[str, object], orders: Orders
) -> "cel.Expression | None":
    """Return the program whose macros go through maps in order, their orders put into `used`; None if
    none may.
    """
    lists = frozenset(name for name, value in used.items() if isinstance(value, list))
    maps = {name: value for name, value in used.items() if isinstance(value, dict)}
    names = frozenset(maps)
    found = ordered_walks(text, lists, names, False)
    if found is not None and found.orders and orders.sorts:
        found = ordered_walks(text, lists, names, True)
    if found is None:
        return None
    more: dict[str, object] = {name: list(maps[held]) for held, name in found.keys}
    if found.orders:
        more[found.orders] = orders.walks
    try:
        program = _program(found.text, (*variables, *((name, False) for name in more)))
    except _ERRORS:  # the text itself is as deep as the library allows
        return None
    used.update(more)
    return program


def _evaluate_part(text: str, data: Data, orders: Orders) -> object:
    """Like `_evaluate`, for values from another evaluation.

    Timestamps and durations cannot be passed in again.
    """
    try:
        found = _evaluate(text, data, orders)
    except EvaluationFailed as error:
        if "Non-CEL value" in error.message:
            raise NotStaged from None
        raise
    return orders.walked(found)  # a macro that was taken apart walks the map in its present order


def _evaluate_alone(text: str, data: Data) -> object:
    """`_evaluate` for a part that no macro runs over, whose maps may have any order."""
    return _evaluate(text, data, Orders([], None))


class Program:
    """An expression ready to be evaluated. `kinds` are the types of its references, where they are known."""

    __slots__ = ("_ready", "_stage", "_staged", "_text", "expression", "kinds")

    def __init__(self, expression: Renamed) -> None:
        self.expression = expression
        self.kinds: Mapping[Read, PortType] = {}
        self._text = expression.text
        self._ready = False
        text = expression.text
        self._staged = "(" not in text or _MACRO.search(text) is None  # nothing to take apart
        self._stage: Stage | None = None

    def ready(self) -> None:
        """Compile it for evaluation, which happens once. Raises BadExpression."""
        if not self._ready:
            signature = tuple((name, self._kind(read), True) for read, name in self.expression.names.items())
            try:
                _program(self._text, _variables(signature))
            except _ERRORS as error:
                _, self._text = _flattened(self.expression, signature, error)
            self._ready = True

    def _kind(self, read: Read) -> PortType:
        moment = read.kind == "run" and read.name == "started_at"
        return celtypes.TIMESTAMP if moment else self.kinds.get(read, ANY)

    def makes_doubles(self, read: Read) -> bool:
        """True if integers in what is read stand for numbers and become doubles."""
        return celtypes.has_numbers(self._kind(read))

    def __call__(self, lookup: Lookup) -> Value:
        """Return the value; `lookup` supplies each read. Raises ExpressionFailed, BadExpression."""
        self.ready()
        values = [(name, self._kind(read), lookup(read)) for read, name in self.expression.names.items()]
        data: Data = {}
        try:
            data = {name: celtypes.given(value, kind) for name, kind, value in values}
            orders = Orders([value for _, _, value in values], built_maps(self._text))
            return orders.restore(celtypes.to_value(self._run(data, orders)))
        except EvaluationFailed as error:
            raise self._failed(self._with_value(reworded(error.message), data)) from None
        except (ValueError, OverflowError) as error:
            raise self._failed(str(error)) from None
        except RecursionError:
            raise self._failed("a value is nested too deeply") from None

    def _run(self, data: Data, orders: Orders) -> object:
        parts = self._parts() if is_large(list(data.values())) else None
        if parts is None:
            return _evaluate(self._text, data, orders)
        try:
            return parts.run(data, lambda text, used: _evaluate_part(text, used, orders))
        except (EvaluationFailed, NotStaged) as staged:
            if isinstance(staged, EvaluationFailed) and parts.strict:
                raise
            return self._whole(data, staged, orders)

    def _whole(self, data: Data, staged: EvaluationFailed | NotStaged, orders: Orders) -> object:
        """Evaluate all at once, because the part that failed may be behind a false condition."""
        try:
            return _evaluate(self._text, data, orders)
        except EvaluationFailed as error:
            if error.out_of_steps and isinstance(staged, EvaluationFailed):
                raise staged from None
            raise

    def _parts(self) -> Stage | None:
        if not self._staged:
            self._stage, self._staged = stage(self._text, self.expression.prefix + "m"), True
        return self._stage

    def _with_value(self, message: str, data: Data) -> str:
        """Return the message with the value that a conversion could not take.

        Variables of `env` are not shown.
        """
        from symphony.workflow.expressions.conversions import with_value

        hidden = {name for read, name in self.expression.names.items() if read.kind == "env"}
        return with_value(message, self._text, data, hidden, _evaluate_alone)

    def _failed(self, message: str) -> ExpressionFailed:
        original = " ".join(self.expression.original.split())
        shown = original if len(original) <= _SHOWN else original[:_SHOWN] + "…"
        hint = hint_for(message, "check the values that the expression reads")
        return ExpressionFailed(f"{self.expression.spoken(message)} in `{shown}`", hint=hint)
