"""Warnings of plain texts that were meant as references: `words.result` without `${{ }}` around it."""

from collections.abc import Iterator
from typing import Final

from symphony.ports.values import Value
from symphony.workflow.expressions import Read
from symphony.workflow.model import CommandNode
from symphony.workflow.problems import child
from symphony.workflow.types import ANY
from symphony.workflow.validation.level import Level, speaks
from symphony.workflow.validation.scope import Scope

_ELEMENTS_MAX: Final = 100
_VARIABLES: Final = frozenset({"item", "index", "iteration", "state"})


def warn_of_forgotten(level: Level) -> None:
    """Warn of texts in the inputs of a level's nodes that are references but for `${{ }}`."""
    state = level.scope.state
    for name, node in level.scope.nodes.items():
        for key, value in node.inputs.items():
            if type(value) is str:
                if value in _VARIABLES or (state and value == key and value in state):
                    _warn_of_variable(level, name, key, value)
                elif ("." in value or "{" in value) and "${{" not in value:
                    _warn_of_input(level, name, key, value)
            elif type(value) is list or type(value) is dict:
                for text in _texts(value):
                    _warn_of_input(level, name, key, text)


def warn_of_text(level: Level, text: Value, place: str, scope: Scope) -> None:
    """Warn of a value at `place` if it is a text that is a reference but for `${{ }}`."""
    meant = _meant(text, scope) if isinstance(text, str) else None
    if meant is not None:
        _warn(level, text, place, meant)


def _warn(level: Level, text: Value, place: str, meant: str) -> None:
    if any(error.place == place for error in level.sheet.errors.found):
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


def _warn_of_variable(level: Level, name: str, key: str, word: str) -> None:
    """Warn of an input that is the plain word `item`, `index`, or a variable of the loop around it.

    The word is meant as it is for a port that takes it, and in a node that reads such a variable as well.
    """
    node, scope = level.scope.nodes[name], level.scope
    kind = meant = word
    if word in ("item", "index"):
        there = node.for_each is not None or scope.item is not None
    else:
        there = scope.state is not None if word == "iteration" else bool(scope.state)
        if word != "iteration" and scope.state:
            kind, meant = "state", str(Read("state", next(iter(scope.state)) if word == "state" else word))
    if not there:
        return
    ports = scope.inputs_of(node)
    port = (ports or {}).get(key)
    if ports is not None and (port is None or speaks(port) or word in port.type.innermost.choices):
        return
    templates = scope.compiled.nodes[scope.compiled.index[name]].inputs.values()
    if any(read.kind == kind for template in templates for read in template.reads):
        return
    _warn(level, word, f"{child(level.place, name)}.inputs.{key}", f"${{{{ {meant} }}}}")


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
