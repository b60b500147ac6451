"""Writes a document in any text format in canonical layout."""

from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Final

from symphony.commons.errors import SymphonyError
from symphony.workflow.documents import Document, Format, Tree, parse
from symphony.workflow.documents.compression import unpacked
from symphony.workflow.documents.formats import format_named, text_of
from symphony.workflow.formatting.shapes import WORKFLOW, ordered, same
from symphony.workflow.problems import Problem, ValidationReport, WorkflowInvalid

_GRAPH: Final = ("nodes", "steps")
_NO_MAP: Final = "write `key: value` pairs, such as name: and nodes:"


class CannotFormat(SymphonyError):
    """A document is not a workflow, or cannot be laid out without losing something of it."""

    code = "cannot-format"


def formatted(body: bytes, kind: Format, source: str | None = None, *, foreign: bool = False) -> bytes:
    """Return `body`, a document of this `kind`, in canonical layout. The meaning is checked to be unchanged.

    Lines end as most of them do in `body`, and a byte order mark stays. `foreign`: it may also be a
    document of another program. Raises WorkflowInvalid, which names `source`, for what cannot be read,
    and CannotFormat.
    """
    document = parse(body, kind)
    if not document.readable or document.problems:
        raise WorkflowInvalid(ValidationReport(errors=document.problems), source)
    if not isinstance(document.tree, dict):
        problem = Problem(code="type-mismatch", place="", message="a workflow is a map", hint=_NO_MAP)
        raise WorkflowInvalid(ValidationReport(errors=(problem,)), source)
    if not foreign and not _is_workflow(document.tree):
        hint = "files of other programs have their own layout: name files of workflows, or a folder"
        raise CannotFormat("this is not a workflow: it has no nodes", hint=hint)
    if kind.binary or unpacked(body) != body:
        hint = "only YAML, JSON and TOML that are not compressed have a layout"
        raise CannotFormat("the document is not a text", hint=hint)
    if kind.name == "yaml":
        made = _yaml(text_of(body))
    elif kind.name == "toml":
        made = _toml(text_of(body), document, kind)
    else:
        made = format_named("pretty-json").write(ordered(document.tree, WORKFLOW))
    mark, end = _mark(body), _line_end(body)
    # A block scalar may end the text without a line end.
    for text in (made, made[:-1]):
        styled = mark + text.replace(b"\n", end)
        if _same(document, styled, kind):
            return styled
    hint = "it is left as it is; write unusual parts, such as keys of many lines, more simply"
    raise CannotFormat("another layout would change what the document means", hint=hint)


def _is_workflow(tree: Mapping[str, Tree]) -> bool:
    """True if the keys are those of a workflow, even if it is wrong or has only been begun."""
    keys = tree.keys()
    return not keys.isdisjoint(_GRAPH) or keys <= set(WORKFLOW.order)


def _mark(body: bytes) -> bytes:
    """Return the byte order mark of a text in UTF-8, if it has one."""
    return BOM_UTF8 if body.startswith(BOM_UTF8) else b""


def _line_end(body: bytes) -> bytes:
    """Return the line end that most lines of a text have."""
    windows = body.count(b"\r\n")
    counts = {b"\n": body.count(b"\n") - windows, b"\r\n": windows, b"\r": body.count(b"\r") - windows}
    return max(counts, key=counts.__getitem__)


def _same(document: Document, made: bytes, kind: Format) -> bool:
    """True if what was made means the same as `document`."""
    found = parse(made, kind)
    return found.readable and not found.problems and same(document.tree, found.tree, WORKFLOW)


def _yaml(text: str) -> bytes:
    from symphony.workflow.formatting.yaml_layout import laid_out

    return laid_out(text, WORKFLOW).encode()


def _toml(text: str, document: Document, kind: Format) -> bytes:
    """Return the TOML text in canonical layout. Raises CannotFormat where a comment would be lost."""
    from symphony.workflow.documents.toml_spots import has_comment

    if has_comment(text):
        hint = "take the comments out, or convert it to YAML: symphony convert FILE --to yaml"
        raise CannotFormat("the comments of a TOML document would be lost", hint=hint)
    return kind.write(ordered(document.tree, WORKFLOW))
