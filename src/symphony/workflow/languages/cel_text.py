"""CEL that an operator evaluates, over names of its own."""

from collections.abc import Collection
from typing import Final

from symphony.commons.cutting import beginning
from symphony.workflow.expressions import BadExpression, Compiler, Read, ValueTemplate
from symphony.workflow.expressions.habits import foreign
from symphony.workflow.expressions.scan import references
from symphony.workflow.languages.faults import LiteralFault
from symphony.workflow.problems import Code, did_you_mean
from symphony.workflow.types import ANY, INTEGER, PortType, called, fits, parse_type

_ROOTS: Final = {"input": "inputs", "state": "state", "run": "run", "env": "env"}
_SHOWN: Final = 80
_ELSEWHERE: Final = frozenset({*_ROOTS, "iteration"})


def compiled_cel(text: str, names: Collection[str] | None) -> ValueTemplate:
    """Return `text`, with or without `${{ }}`, compiled over `names`. Raises BadExpression.

    All names are of type `any` but for `index`, which is an integer.
    """

    def type_of(read: Read) -> PortType:
        if names is not None and _root(read) not in names:
            raise BadExpression(f"{beginning(str(read), _SHOWN)} is not known here", hint=_hint(read, names))
        return INTEGER if read.kind == "index" else ANY

    bare = text.strip()
    return Compiler(type_of).template(bare if bare.startswith("${{") else f"${{{{ {bare} }}}}")


def cel_faults(text: str, names: Collection[str] | None, gives: str) -> tuple[LiteralFault, ...]:
    """Return the problems of an expression over `names` whose result must have the type `gives`."""
    try:
        if names is not None and "${{" not in text and (unknown := _unknown(text, names)):
            words = foreign(text)  # `and` is no field whose `item.` was forgotten
            return unknown if words is None else (LiteralFault(message=words.message, hint=words.hint or ""),)
        kind = compiled_cel(text, names).type
    except BadExpression as error:
        return (LiteralFault(message=error.message, hint=error.hint or "", code=_code(error)),)
    if gives and not fits(kind, target := parse_type(gives + "?")):
        message = f"it gives {called(kind)}, not {called(parse_type(gives))}"
        otherwise = f"convert it: {gives}(…)"
        hint = "compare with something: item.lines > 10" if target.kind == "boolean" else otherwise
        return (LiteralFault(message=message, hint=hint),)
    return ()


def _code(error: BadExpression) -> Code:
    return "limit-exceeded" if error.problem_code == "limit-exceeded" else "bad-expression"


def _unknown(text: str, names: Collection[str]) -> tuple[LiteralFault, ...]:
    """Return what the expression reads outside `names`, without duplicates."""
    found: dict[str, LiteralFault] = {}
    for one in references(text, True):
        root = _root(one.read)
        if root not in names and str(one.read) not in found:
            message = f"{beginning(str(one.read), _SHOWN)} is not known here"
            found[str(one.read)] = LiteralFault(
                message=message, hint=_hint(one.read, names), at=one.start, read=one.read
            )
    return tuple(found.values())


def _root(read: Read) -> str:
    """Return the first name in a path that is read."""
    return read.name if read.kind in ("port", "node") else _ROOTS.get(read.kind, read.kind)


def _hint(read: Read, names: Collection[str]) -> str:
    seen = f"the expression sees {' and '.join(names)}"
    if read.kind in _ELSEWHERE:
        return f"write ${{{{ {read} }}}}; without that {seen}"
    if read.kind in ("port", "node"):
        otherwise = f"write item.{beginning(str(read), _SHOWN)}" if "item" in names else seen
        return did_you_mean(read.name, names, otherwise)
    return seen
