"""TOML through the standard library's reader and our own writer; null is spelled `{"$null" = true}`."""

import re
import tomllib
from typing import Final

from symphony.workflow.documents import toml_writer
from symphony.workflow.documents.toml_spots import SpotSurvey, survey
from symphony.workflow.documents.tree import DEPTH_MAX, Document, Positions, SyntaxProblem, Tree, too_deep

_WHERE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)")
_LONG_NUMBER = re.compile(r"(?<![0-9A-Za-z_])[0-9][0-9_]{4000,}")
_TWICE: Final = ("overwrite", "twice", "redefine", "mutate", "Duplicate")
_NULL_KEY: Final = "$null"
_HOLDERS: Final = (dict, list)  # a union is built again on each use, and checks against it are slower


def parse(text: str) -> Document:
    """Return the document in `text`. Raises SyntaxProblem."""
    surveyed = _Surveyed(text)
    # The parser takes quadratic time for a key with very many parts, so it must not see one.
    if any(line.count(".") >= DEPTH_MAX for line in text.split("\n")):
        surveyed.refuse_depth()
    try:
        tree = tomllib.loads(text)
    except RecursionError:
        surveyed.refuse_depth()
        raise too_deep() from None
    except tomllib.TOMLDecodeError as error:
        surveyed.refuse_depth()
        raise _problem(str(error), text, surveyed) from None
    except ValueError:
        # The only other thing that the parser raises: an integer with too many digits to convert.
        message, hint = "a number has too many digits", "write it as text"
        found = _LONG_NUMBER.search(text)
        position = surveyed.positions.at(found.start()) if found else None
        raise SyntaxProblem("type-mismatch", message, hint, position) from None
    return Document(_with_nulls(tree), (), surveyed.positions)


class _Surveyed:
    """The survey of a text, made when it is first asked for."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: SpotSurvey | None = None
        self.positions = Positions(text, lambda: self.found.root)

    @property
    def found(self) -> SpotSurvey:
        if self._found is None:
            self._found = survey(self._text)
        return self._found

    def refuse_depth(self) -> None:
        """Raise SyntaxProblem if the text nests too deep."""
        if self.found.too_deep_at is not None:
            raise too_deep(self.positions.at(self.found.too_deep_at))


def _problem(words: str, text: str, surveyed: _Surveyed) -> SyntaxProblem:
    where = _WHERE.search(words)
    positions, found = surveyed.positions, surveyed.found
    at = positions.at(len(text))
    if where is not None and where[1] is not None:
        at = (int(where[1]), int(where[2]))
    said = _WHERE.sub("", words)
    if any(word in said for word in _TWICE):
        if found.twice is None:
            hint = positions.duplicate_hint(None)
            return SyntaxProblem("duplicate-name", f"duplicate key or table: {said}", hint, at)
        place, offset, first = found.twice
        hint = positions.duplicate_hint(first)
        twice = SyntaxProblem("duplicate-name", f"duplicate {place}", hint, positions.at(offset))
        twice.locate(place)
        return twice
    return SyntaxProblem("syntax", f"this is not TOML: {said}", "check quotes, brackets and table names", at)


def _with_nulls(tree: Tree) -> Tree:
    """Return `tree` with every spelled null a real one. The reader's own recursion has bounded how deep
    it is.
    """
    if isinstance(tree, dict):
        if len(tree) == 1 and tree.get(_NULL_KEY) is True:
            return None
        for key, item in tree.items():
            if isinstance(item, _HOLDERS):
                tree[key] = _with_nulls(item)
    elif isinstance(tree, list):
        tree[:] = [_with_nulls(item) if isinstance(item, _HOLDERS) else item for item in tree]
    return tree


def write(tree: Tree) -> bytes:
    """Return the document that spells `tree`."""
    spelled = _without_nulls(tree)
    assert isinstance(spelled, dict)
    return toml_writer.write(_laid_out(spelled)).encode()


def _laid_out(document: dict[str, Tree]) -> dict[str, Tree]:
    """Return a workflow with what can be a table last, where the order of keys means nothing.

    That is in the document itself, its inputs and its nodes. All other maps stay as they are.
    """
    nodes, inputs = document.get("nodes"), document.get("inputs")
    if not isinstance(nodes, dict):
        return document  # not a workflow
    out = {**document, "nodes": {name: _node(node) for name, node in nodes.items()}}
    if isinstance(inputs, dict):
        out["inputs"] = {name: _tables_last(given) for name, given in inputs.items()}
    return dict(sorted(out.items(), key=_is_table))


def _node(node: Tree) -> Tree:
    if not isinstance(node, dict):
        return node
    body = node.get("body")
    if isinstance(body, dict):
        node = {**node, "body": {name: _node(inner) for name, inner in body.items()}}
    return _tables_last(node)


def _tables_last(tree: Tree) -> Tree:
    return dict(sorted(tree.items(), key=_is_table)) if isinstance(tree, dict) else tree


def _is_table(item: tuple[str, Tree]) -> bool:
    return toml_writer.is_table(item[1])


def _without_nulls(tree: Tree) -> Tree:
    if tree is None:
        return {_NULL_KEY: True}
    if isinstance(tree, dict):
        return {key: _without_nulls(item) for key, item in tree.items()}
    if isinstance(tree, list):
        return [_without_nulls(item) for item in tree]
    return tree
