"""CEL that is given to an operator and evaluated for each element of a list. No operators here."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from symphony.kit.errors import InputRefused, Stopped
from symphony.ports.values import Value
from symphony.sdk import Bounds, Context
from symphony.sdk.bounds import extent
from symphony.workflow.types import ANY, INTEGER, PortType

if TYPE_CHECKING:
    from symphony.workflow.expressions import Read, ValueTemplate

STEPS_MAX: Final = 200_000
_CHECK_EVERY: Final = 256
_PATH: Final = re.compile(
    r"""\s*(?:\$\{\{)?\s*item\s*(?:\.\s*\w+\s*|\[\s*(?:[0-9]{1,9}|"[^"\\]*"|'[^'\\]*')\s*\]\s*)*(?:\}\})?\s*"""
)
_FIELD: Final = re.compile(r"\s*(?!(?:item|index|value)\b)[A-Za-z_]\w*(?:\.\w+)*\s*")
"""A name where `item` is forgotten."""

Evaluate: TypeAlias = Callable[[Value, int, Value], Value]
"""Gives the value of an expression for an element, its index, and what data.reduce calls `value`."""


def evaluator(name: str, text: str, context: Context, items: str = "items") -> Evaluate:
    """What evaluates `text`, the input `name`, for elements of the input `items`.

    Raises InputRefused with input and element, also when it is called; Stopped.
    """
    return evaluating(name, compiled(name, text), context, items)


def evaluating(name: str, template: "ValueTemplate", context: Context, items: str) -> Evaluate:
    """What evaluates `template` as `evaluator` does."""
    from symphony.workflow.expressions import ExpressionFailed

    def evaluate(item: Value, index: int, value: Value) -> Value:
        if index % _CHECK_EVERY == 0 and context.cancelled():
            raise Stopped("the node was cancelled")
        scope: dict[str, Value] = {"item": item, "index": index, "value": value}
        try:
            return template.render(lambda read: scope[read.kind])
        except ExpressionFailed as error:
            raise InputRefused(
                f"input {name}, for {items}[{index}]: {error.message}", hint=error.hint
            ) from error

    return evaluate


def compiled(name: str, text: str) -> "ValueTemplate":
    """The input `name` ready to evaluate. Raises InputRefused."""
    from symphony.workflow.expressions import BadExpression

    try:
        return _template(text)
    except BadExpression as error:
        hint = f"write item.{text.strip()}" if _FIELD.fullmatch(text) else error.hint
        raise InputRefused(f"input {name}: {error.message}", hint=hint) from error


def _template(text: str) -> "ValueTemplate":
    from symphony.workflow.expressions import BadExpression, Compiler

    types: dict[str, PortType] = {"item": ANY, "index": INTEGER, "value": ANY}

    def type_of(read: "Read") -> PortType:
        if read.kind not in types:
            names = "item, index and, in data.reduce, value"
            raise BadExpression(f"{read} is not known here", hint=f"an expression over a list knows {names}")
        return types[read.kind]

    bare = text.strip()
    return Compiler(type_of).template(bare if bare.startswith("${{") else f"${{{{ {bare} }}}}")


def heavy_over(items: str, *names: str) -> Bounds:
    """Bounds of an operator with the expressions of the inputs `names` for each element of input `items`.

    It is heavy if they run over long lists, or use macros, which run over all of an element, or the
    methods of texts, on more than a little. A path such as `item.name` is picked without the evaluator.
    """

    def heavy(inputs: Mapping[str, Value]) -> bool:
        texts = [text for name in names for text in _texts(inputs.get(name)) if not _PATH.fullmatch(text)]
        return bool(texts) and is_much(extent(inputs.get(items), STEPS_MAX), " ".join(texts))

    return Bounds(heavy=heavy)


def is_much(size: int, expression: str) -> bool:
    """Is it worth a process to evaluate `expression` over so much?"""
    return size * len(expression) * (100 if "(" in expression else 1) > 5 * STEPS_MAX


def _texts(value: Value) -> Iterator[str]:
    """All texts in `value`, but for keys of maps."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value if isinstance(value, list) else value.values():
            yield from _texts(one)
