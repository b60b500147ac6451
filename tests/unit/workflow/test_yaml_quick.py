"""The quick builder of YAML trees gives what the close one gives, or leaves the text to it."""

import random
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.workflow.documents import DEPTH_MAX, Document, Tree, yaml_writer
from symphony.workflow.documents.tree import SyntaxProblem
from symphony.workflow.documents.yaml_text import closely, parse, quickly
from symphony.workflow.problems import Problem, child

ROOT: Final = Path(__file__).parents[3]
PIECES: Final = (
    "a", "b: ", "- ", "\n", "\n  ", "\n    ", "[", "]", "{", "}", ", ", ": ", '"', "'", "#", "|\n", ">-\n",
    "&x ", "*x", "!t ", "? ", "---\n", "...\n", "%YAML 1.2\n", "1", "1.5", "~", "true", "null",
    "\t", "${{ a.b }}", "é", "",
)  # fmt: skip
_scalars = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=6)
_trees = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=15,
)


def places(tree: Tree, at: str = "") -> list[str]:
    """Every place of a document, and some that it does not have."""
    found = [at, child(at, "zz"), child(at, 7)]
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, item in pairs:
        found += places(item, child(at, key))
    return found


def attempt(text: str) -> Document | Problem:
    """What the close builder makes of a text, or why it makes nothing."""
    try:
        return closely(text)
    except SyntaxProblem as error:
        return error.problem


def compared(text: str) -> Document | None:
    """What the quick builder makes of a text, after a look at the other one."""
    quick = quickly(text)
    close = attempt(text)
    if quick is None:
        try:
            whole: Document | Problem = parse(text)
        except SyntaxProblem as error:
            whole = error.problem
        if isinstance(close, Document):
            assert isinstance(whole, Document)
            assert repr((whole.tree, whole.problems)) == repr((close.tree, close.problems))
        else:
            assert whole == close
        return None
    assert isinstance(close, Document)
    assert close.problems == ()
    assert close.readable
    assert repr(quick.tree) == repr(close.tree)  # NaN equals nothing
    assert quick.positions is not None
    assert close.positions is not None
    for place in places(quick.tree):
        assert quick.positions.of(place) == close.positions.of(place), place
    return quick


@given(_trees)
def test_what_the_writer_writes_is_read_quickly_to_the_same_tree_and_places(tree: Tree) -> None:
    assert compared(yaml_writer.write(tree).decode()) is not None


def test_any_pieces_of_yaml_are_read_the_same_both_ways() -> None:
    for seed in range(3000):
        rng = random.Random(seed)
        compared("".join(rng.choices(PIECES, k=rng.randrange(1, 14))))


@pytest.mark.parametrize(
    "path",
    [path for folder in ("examples", "tests", "docs") for path in sorted((ROOT / folder).rglob("*.yaml"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_yaml_file_of_the_project_is_read_the_same_both_ways(path: Path) -> None:
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        return
    compared(text)


UNUSUAL: Final = [
    "", "# nothing\n", "a: 1\na: 2\n", "1: a\n", "a: !x 1\n", "!x {a: 1}\n", "- &a 1\n- *a\n", "? [a]\n: 1\n",
    "a: 1\n---\nb: 2\n", "a: [", "a: \x01", "[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1), "{true: 1}",
]  # fmt: skip


@pytest.mark.parametrize("text", UNUSUAL)
def test_what_must_be_reported_is_left_to_the_close_builder(text: str) -> None:
    assert compared(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "a: {b: [1, two, 3.0, null, ~, 'x', \"y\"]}\n# end\n",
        "- 1\n- [a, {b: c}]\n",
        "x",
        "---\na: |\n  b\n",
        "&a {b: &c 1}\n...\n",
        "[" * 99 + "]" * 99,
    ],
)
def test_what_is_sound_is_read_quickly(text: str) -> None:
    assert compared(text) is not None
