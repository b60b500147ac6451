"""CEL that is given to an operator and evaluated for each element of a list. No operators here."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

from symphony.kit.errors import InputRefused, Stopped
from symphony.ports.values import Value
from symphony.sdk import Bounds, Cel, Context
from symphony.sdk.bounds import extent

if TYPE_CHECKING:
    from symphony.workflow.expressions import ValueTemplate

ITEM: Final = ("item", "index")
"""The names that an expression over a list may use."""
ItemCel: TypeAlias = Annotated[str, Cel(*ITEM)]

STEPS_MAX: Final = 200_000
_CHECK_EVERY: Final = 256
_PATH: Final = re.compile(
    r"""\s*(?:\$\{\{)?\s*item\s*(?:\.\s*\w+\s*|\[\s*(?:[0-9]{1,9}|"[^"\\]*"|'[^'\\]*')\s*\]\s*)*(?:\}\})?\s*"""
)
Evaluate: TypeAlias = Callable[[Value, int, Value], Value]
"""Gives the value of an expression for an element, its index, and what data.reduce calls `value`."""


def evaluator(name: str, text: str, context: Context, names: Collection[str] = ITEM) -> Evaluate:
    """Return what evaluates `text`, the input `name`, CEL over `names`, for elements of the input `items`.

    Raises InputRefused with input and element, also when it is called; Stopped.
    """
    return evaluating(name, compiled(name, text, names), context, "items")


def evaluating(name: str, template: "ValueTemplate", context: Context, items: str) -> Evaluate:
    """Return what evaluates `template` as `evaluator` does."""
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


def compiled(name: str, text: str, names: Collection[str] = ITEM) -> "ValueTemplate":
    """Return the input `name`, CEL over `names`, ready to evaluate. Raises InputRefused."""
    from symphony.workflow.expressions import BadExpression
    from symphony.workflow.languages.cel_text import compiled_cel

    try:
        return compiled_cel(text, names)
    except BadExpression as error:
        raise InputRefused(f"input {name}: {error.message}", hint=error.hint) from error


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
    """True if it is worth a process to evaluate `expression` over so much."""
    return size * len(expression) * (100 if "(" in expression else 1) > 5 * STEPS_MAX


def _texts(value: Value) -> Iterator[str]:
    """Yield all texts in `value`, but for keys of maps."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value if isinstance(value, list) else value.values():
            yield from _texts(one)
