"""Warnings of plain texts that were meant as references: `words.result` without `${{ }}` around it."""

from collections.abc import Iterator
from typing import Final

from symphony.ports.values import Value
from symphony.workflow.model import CommandNode
from symphony.workflow.problems import child
from symphony.workflow.types import ANY
from symphony.workflow.validation.level import Level, speaks
from symphony.workflow.validation.scope import Scope

_ELEMENTS_MAX: Final = 100


def warn_of_forgotten(level: Level) -> None:
    """Warn of texts in the inputs of a level's nodes that are references but for `${{ }}`."""
    for name, node in level.scope.nodes.items():
        for key, value in node.inputs.items():
            if type(value) is str:
                if ("." in value or "{" in value) and "${{" not in value:
                    _warn_of_input(level, name, key, value)
            elif type(value) is list or type(value) is dict:
                for text in _texts(value):
                    _warn_of_input(level, name, key, text)


def warn_of_text(level: Level, text: Value, place: str, scope: Scope) -> None:
    """Warn of a value at `place` if it is a text that is a reference but for `${{ }}`."""
    meant = _meant(text, scope) if isinstance(text, str) else None
    if meant is None or any(error.place == place for error in level.sheet.errors.found):
        return
    message = f"the text {text!r} is passed on as it is, though it names a value of this workflow"
    level.sheet.warnings.add("bad-expression", place, message, f"did you mean {meant}?")


def _warn_of_input(level: Level, name: str, key: str, text: str) -> None:
    node = level.scope.nodes[name]
    scope = level.scope if node.for_each is None else level.scope.seeing(item=ANY)
    if _meant(text, scope) is None:
        return
    ports = level.scope.inputs_of(node)
    if ports is None and not isinstance(node, CommandNode):
        return  # the type that it takes is unknown
    port = (ports or {}).get(key)
    if port is not None and (speaks(port) or (port.type.innermost.kind == "path" and text[0] not in "${")):
        return  # `{{ inputs.n }}` is a template, and `report.html` the name of a file
    if text.startswith("item."):
        return  # it may be meant for its receiver, such as a program
    warn_of_text(level, text, f"{child(level.place, name)}.inputs.{key}", scope)


def _texts(value: list[Value] | dict[str, Value]) -> Iterator[str]:
    """Yield the texts in a list or map of at most a hundred elements that may be references."""
    if len(value) > _ELEMENTS_MAX:
        return
    for one in value.values() if isinstance(value, dict) else value:
        if isinstance(one, str):
            if ("." in one or "{" in one) and "${{" not in one:
                yield one
        elif isinstance(one, list | dict):
            yield from _texts(one)


def _meant(text: str, scope: Scope) -> str | None:
    """Return the reference that a text was meant as; None for most texts, which lack what a reference
    needs.
    """
    if "." not in text and "{" not in text:
        return None
    from symphony.workflow.validation.remedies import forgotten

    return forgotten(text, scope)
