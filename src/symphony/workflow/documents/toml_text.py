"""TOML through the standard library's reader; null is spelled `{"$null" = true}`."""

import re
import tomllib
from typing import Final

from symphony.workflow.documents.toml_spots import Survey, survey
from symphony.workflow.documents.tree import Document, Positions, SyntaxProblem, Tree, too_deep

_WHERE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)")
_TWICE: Final = ("overwrite", "twice", "redefine", "mutate", "Duplicate")
_NULL_KEY: Final = "$null"


def parse(text: str) -> Document:
    """The document in `text`. Raises SyntaxProblem."""
    # Surveyed first: the reader takes quadratic time for keys of very many parts, and recurses.
    found = survey(text)
    positions = Positions(text, lambda: found.root)
    if found.too_deep_at is not None:
        raise too_deep(positions.at(found.too_deep_at))
    try:
        tree = tomllib.loads(text)
    except RecursionError:
        raise too_deep() from None
    except tomllib.TOMLDecodeError as error:
        raise _problem(str(error), text, found, positions) from None
    except ValueError:
        # The only other thing that the reader raises: an integer of too many digits to convert.
        message, hint = "a number has too many digits", "write it as text"
        raise SyntaxProblem("type-mismatch", message, hint) from None
    return Document(_with_nulls(tree), (), positions)


def _problem(words: str, text: str, found: Survey, positions: Positions) -> SyntaxProblem:
    where = _WHERE.search(words)
    at = positions.at(len(text))
    if where is not None and where[1] is not None:
        at = (int(where[1]), int(where[2]))
    said = _WHERE.sub("", words)
    if any(word in said for word in _TWICE):
        hint = "rename or remove one"
        if found.twice is None:
            return SyntaxProblem("duplicate-name", f"a key or table stands twice: {said}", hint, at)
        place, offset = found.twice
        twice = SyntaxProblem("duplicate-name", f"{place} stands twice", hint, positions.at(offset))
        twice.locate(place)
        return twice
    return SyntaxProblem("syntax", f"this is not TOML: {said}", "check quotes, brackets and table names", at)


def _with_nulls(tree: Tree) -> Tree:
    """`tree` with every spelled null a real one. The survey has bounded how deep it is."""
    if isinstance(tree, dict):
        if len(tree) == 1 and tree.get(_NULL_KEY) is True:
            return None
        for key, item in tree.items():
            if isinstance(item, dict | list):
                tree[key] = _with_nulls(item)
    elif isinstance(tree, list):
        tree[:] = [_with_nulls(item) if isinstance(item, dict | list) else item for item in tree]
    return tree


def write(tree: Tree) -> bytes:
    """The document that spells `tree`."""
    import tomli_w

    spelled = _without_nulls(tree)
    assert isinstance(spelled, dict)
    return tomli_w.dumps(spelled).encode()


def _without_nulls(tree: Tree) -> Tree:
    if tree is None:
        return {_NULL_KEY: True}
    if isinstance(tree, dict):
        return {key: _without_nulls(item) for key, item in tree.items()}
    if isinstance(tree, list):
        return [_without_nulls(item) for item in tree]
    return tree
