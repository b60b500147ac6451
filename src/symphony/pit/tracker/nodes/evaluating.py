"""Renders one template with its values in a worker process, where it is compiled again."""

from functools import lru_cache

from symphony.pit.tracker.nodes.limits import bounded
from symphony.pit.tracker.nodes.work import type_of_read
from symphony.ports.values import Value
from symphony.sdk import operator
from symphony.workflow.expressions import Compiler, ValueTemplate

_KEPT = 256


@operator("expression", version="1.0.0", cpu=True)
def expression(source: Value, form: str, values: list[Value], most: int) -> Value:
    """Return the value of the template `source`; `values` holds what its expressions read, in their order.

    Raises as rendering does, and ValueTooLarge if the value takes more than `most` bytes.
    """
    template = _compiled(source, form)
    found = template.render(dict(zip(template.reads, values, strict=True)).__getitem__)
    bounded(found, "the result of the expression", most)
    return found


def _compiled(source: Value, form: str) -> ValueTemplate:
    return _of_text(source, form) if isinstance(source, str) else _compiler().template(source)


@lru_cache(maxsize=_KEPT)
def _of_text(source: str, form: str) -> ValueTemplate:
    compiler = _compiler()
    match form:
        case "condition":
            return compiler.condition(source)
        case "transform":
            return compiler.transform(source)
    return compiler.template(source)


def _compiler() -> Compiler:
    return Compiler(type_of_read, value=False)
