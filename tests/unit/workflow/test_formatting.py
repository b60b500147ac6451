"""The canonical layout: it means the same, it is reached in one step, and no comment is lost."""

import random
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.workflow import schema, schema_edges, schema_nodes
from symphony.workflow.documents import Tree, parse
from symphony.workflow.documents.formats import format_named, format_of
from symphony.workflow.documents.yaml_writer import write
from symphony.workflow.formatting import CannotFormat, formatted
from symphony.workflow.formatting.shapes import NODE, WORKFLOW, KeyShape, ordered, same
from symphony.workflow.problems import WorkflowInvalid

ROOT = Path(__file__).parents[3]
YAML = format_named("yaml")
FILES = sorted(
    path
    for folder in ("examples", "src/symphony/kit/templates", "tests/conformance")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".yaml", ".yml", ".json", ".toml")
)


def laid_out(text: str) -> str:
    """The layout of a YAML text, which is its own, and means the same."""
    made = formatted(text.encode(), YAML, foreign=True)
    assert formatted(made, YAML, foreign=True) == made
    assert same(parse(text.encode(), YAML).tree, parse(made, YAML).tree, WORKFLOW)
    return made.decode()


def comments(text: str) -> Counter[str]:
    return Counter(re.findall(r"#!\d+", text))


def test_keys_are_put_in_order_with_what_belongs_to_them() -> None:
    assert (
        laid_out("""\
# The file's own comment.

outputs: {a: "${{ first.result }}"} # beside outputs
nodes:

    # about second
    second:
        inputs:   {value: 1,other:  [1,2 , 3]}
        operator: debug.value      # what it runs


    first: # its name
        retry: {max: 1s, attempts: 3}
        inputs:
            z: 1
            a: 2
            # the last of its inputs
        operator: debug.value
        description: >
            Text that
              goes on

# about the inputs
inputs:
  x: {default: 1, type: integer}
name: Some
# the end
""")
        == """\
# The file's own comment.

name: Some

# about the inputs
inputs:
  x: {type: integer, default: 1}
nodes:
  # about second
  second:
    operator: debug.value      # what it runs
    inputs: {value: 1, other: [1, 2, 3]}

  first:  # its name
    description: >
      Text that
        goes on
    operator: debug.value
    inputs:
      z: 1
      a: 2
      # the last of its inputs
    retry: {attempts: 3, max: 1s}
outputs: {a: "${{ first.result }}"}  # beside outputs
# the end
"""
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tags:\n- a\n-   b  # b\n-\n  c\nname: x\n", "name: x\ntags:\n  - a\n  - b  # b\n  - c\n"),
        ("edges:\n-   to: b\n    from: a\n-\n  # which\n  from: b\n  to: c\n",
         "edges:\n  - from: a\n    to: b\n  # which\n  - from: b\n    to: c\n"),
        ("metadata:\n  b:\n  - - 1\n    -   2\n  - - 3\n",
         "metadata:\n  b:\n    - - 1\n      - 2\n    - - 3\n"),
        ("name: 'a  #b'   \n\n\n\nversion:    1.0.0\r\n", "name: 'a  #b'\n\nversion: 1.0.0\n"),
        ("name: x\nmetadata:\n     t: |  # kept\n          a\n            b \n\n          c\n\n",
         "name: x\nmetadata:\n  t: |  # kept\n    a\n      b \n\n    c\n"),
        ("name: x\nmetadata:\n     t: |2-\n         a\n        b\n",
         "name: x\nmetadata:\n  t: |2-\n      a\n     b\n"),
        ("name: x\nmetadata:\n  t: |+\n    a\n\n\n", "name: x\nmetadata:\n  t: |+\n    a\n\n\n"),
        ('name:\n      "long\n        text"\n', 'name:\n  "long\n    text"\n'),
        ("name: x\nmetadata:   {a: 1,\n   # in it\n   b: 2}\n",
         "name: x\nmetadata: {a: 1,\n   # in it\n   b: 2}\n"),
        ("name: x\nmetadata: {a, b: }\n", "name: x\nmetadata: {a, b: }\n"),
        ("nodes:\nname: x", "name: x\nnodes:\n"),
        ("---\n# c\nnodes: {}\nname: x\n...\n", "---\n# c\nname: x\nnodes: {}\n...\n"),
        ("# yaml-language-server: $schema=s.json\nnodes: {}\nname: x\n",
         "# yaml-language-server: $schema=s.json\nname: x\nnodes: {}\n"),
        ("# the file\n\n# the nodes\nnodes: {}\nname: x\n",
         "# the file\n\nname: x\n# the nodes\nnodes: {}\n"),
        ("# the file\n\nnodes: {}\n\n# the name\nname: x\n",
         "# the file\n\n# the name\nname: x\nnodes: {}\n"),
        ("\n'tags': []\n\n'name': a\n", "'name': a\n'tags': []\n"),
        ("name: >\r\r\n  a\rversion: 1.0.0", "name: >\r\r  a\rversion: 1.0.0\r"),
        ("name: |\n    a", "name: |\n  a"),
        ("name: |+\n\nversion: 1.0.0\n", "name: |+\n\nversion: 1.0.0\n"),
        ("\ufeff\n\nname: x\n", "\ufeffname: x\n"),
        ('{"nodes": {},\n  "name": "x"}', '{"nodes": {},\n  "name": "x"}\n'),
        ("name: x\nunknown: 1\nversion: 1.0.0\nnodes:\n  a: 1\n",
         "name: x\nversion: 1.0.0\nnodes:\n  a: 1\nunknown: 1\n"),
        ("name: a b\n  c\n  # d\n", "name: a b\n  c\n# d\n"),
        ("? name\n: x\n", "? name\n: x\n"),
    ],
)  # fmt: skip
def test_a_text_is_laid_out_so(text: str, expected: str) -> None:
    made = laid_out(text)
    assert made == expected


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_workflow_here_keeps_its_meaning_and_its_comments(path: Path) -> None:
    kind, body = format_of(path), path.read_bytes()
    document = parse(body, kind)
    if document.problems or not isinstance(document.tree, dict):
        with pytest.raises(WorkflowInvalid):
            formatted(body, kind, foreign=True)
        return
    made = formatted(body, kind, foreign=True)
    assert formatted(made, kind, foreign=True) == made
    if kind.name == "yaml":
        for seed in range(3):
            sprinkled = with_comments(body.decode(), random.Random(seed))
            if parse(sprinkled.encode(), kind).tree == parse(body, kind).tree:
                assert comments(laid_out(sprinkled)) == comments(sprinkled)


def with_comments(text: str, rng: random.Random) -> str:
    """`text` with comments and blank lines in it, which may change what it means."""
    made: list[str] = []
    for at, line in enumerate(text.split("\n")):
        if rng.random() < 0.2:
            made.append("" if rng.random() < 0.3 else " " * rng.randrange(9) + f"#!{at} above")
        if line.strip() and rng.random() < 0.2:
            line += " " * rng.randrange(1, 4) + f"#!{at} beside"
        made.append(line)
    return "\n".join(made)


class Scribe:
    """Writes a tree as YAML as people do: any indentation, any style, comments everywhere."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.count = rng, 0

    def comment(self) -> str:
        self.count += 1
        return f"#!{self.count} a: [comment"

    def gap(self, indent: int) -> list[str]:
        lines: list[str] = []
        while self.rng.random() < 0.25:
            lines.append("" if self.rng.random() < 0.5 else " " * indent + self.comment())
        return lines

    def beside(self) -> str:
        return " " * self.rng.randrange(1, 4) + self.comment() if self.rng.random() < 0.15 else ""

    def flow(self, tree: Tree) -> str:
        blank = " " * self.rng.randrange(2)
        if isinstance(tree, dict):
            return (
                "{"
                + blank
                + f",{blank} ".join(f"{self.flow(k)}: {self.flow(v)}" for k, v in tree.items())
                + "}"
            )
        if isinstance(tree, list):
            return "[" + f"{blank},{blank}".join(map(self.flow, tree)) + blank + "]"
        if isinstance(tree, str) and "\n" not in tree and self.rng.random() < 0.3:
            return "'" + tree.replace("'", "''") + "'"
        return write(tree).decode().strip()

    def block(self, tree: Tree, indent: int, first: str) -> list[str]:
        """The lines of a value whose first line goes on after `first`."""
        step = self.rng.choice([1, 2, 2, 3, 4, 7])
        if (
            isinstance(tree, str)
            and re.fullmatch(r"[a-z]+(\n[a-z ]*[a-z])+\n?", tree)
            and self.rng.random() < 0.7
        ):
            sign = "|" if tree.endswith("\n") else "|-"
            margin = " " * (indent + step)
            return [
                f"{first} {sign}{self.beside()}",
                *(margin + one for one in tree.removesuffix("\n").split("\n")),
            ]
        if not isinstance(tree, dict | list) or not tree or self.rng.random() < 0.2:
            return [f"{first} {self.flow(tree)}{self.beside()}"]
        lines = [first + self.beside()]
        if isinstance(tree, list):
            margin = indent + (0 if first.endswith(":") and self.rng.random() < 0.4 else step)
            for item in tree:
                lines += self.gap(margin)
                if isinstance(item, dict) and item and self.rng.random() < 0.6:
                    inner = self.map(item, margin + 2)
                    while inner[0].strip()[:1] in ("", "#"):
                        lines.append(inner.pop(0)[2:])
                    lines += [" " * margin + "- " + inner[0][margin + 2 :], *inner[1:]]
                else:
                    lines += self.block(item, margin, " " * margin + "-")
            return [*lines, *self.gap(margin)]
        return [*lines, *self.map(tree, indent + step)]

    def map(self, tree: dict[str, Tree], indent: int) -> list[str]:
        lines: list[str] = []
        for key, item in tree.items():
            lines += self.gap(indent)
            lines += self.block(
                item, indent, " " * indent + self.flow(key) + " " * self.rng.randrange(2) + ":"
            )
        return [*lines, *self.gap(indent)]


WORDS = st.sampled_from(
    ["a", "b c", "x: y", "- z", "#no", "it's", '"q"', "yes", "1", "", "a\nb\n", "a\n\nb", "${{ a.b }}"]
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), WORDS)
NAMES = st.sampled_from(["a", "b", "c", "on", "z-1"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def shaped(shape: KeyShape) -> st.SearchStrategy[dict[str, Tree]]:
    known = {key: shaped(shape.of(key)) if shape.of(key).order else VALUES for key in shape.order}
    return st.fixed_dictionaries({}, optional=known)  # type: ignore[arg-type]


NODES = st.dictionaries(
    NAMES, shaped(KeyShape(NODE.order, {k: v for k, v in NODE.inside.items() if k != "body"}))
)
WORKFLOWS = st.fixed_dictionaries(
    {"name": WORDS},
    optional={
        "nodes": NODES, "tags": VALUES, "metadata": VALUES,
        "edges": st.lists(shaped(WORKFLOW.of("edges").of(0))),
        "inputs": st.dictionaries(NAMES, shaped(WORKFLOW.of("inputs").of("x"))), "outputs": VALUES,
    },
)  # fmt: skip


@given(WORKFLOWS, st.integers(0, 2**32))
def test_whatever_is_written_keeps_its_meaning_and_its_comments(tree: dict[str, Tree], seed: int) -> None:
    rng = random.Random(seed)
    keys = list(tree)
    rng.shuffle(keys)
    text = "\n".join(Scribe(rng).map({key: tree[key] for key in keys}, 0)) + "\n"
    document = parse(text.encode(), YAML)
    assert document.tree == tree, text
    made = laid_out(text)
    assert comments(made) == comments(text)
    assert list(parse(made.encode(), YAML).tree) == list(ordered(document.tree, WORKFLOW))  # type: ignore[arg-type]
    assert not re.search(r"\n\n\n(?! *$)", made) or "\n\n\n" in text


@given(st.text(alphabet="ab:-#{}[]|>'\"\n ,?", max_size=60))
def test_whatever_the_text_it_is_laid_out_or_refused(text: str) -> None:
    try:
        laid_out(text)
    except (WorkflowInvalid, CannotFormat):
        pass


@given(WORKFLOWS)
def test_json_and_toml_are_written_anew(tree: dict[str, Tree]) -> None:
    for name in ("json", "toml"):
        kind = format_named(name)
        body = kind.write(tree)
        made = formatted(body, kind, foreign=True)
        assert formatted(made, kind, foreign=True) == made
        assert same(parse(body, kind).tree, parse(made, kind).tree, WORKFLOW)


def test_what_has_no_layout_or_would_lose_its_comments_is_refused() -> None:
    toml = format_named("toml")
    assert formatted(b'version = "1.0.0"\nname = "a # b"\n', toml) == b'name = "a # b"\nversion = "1.0.0"\n'
    with pytest.raises(CannotFormat, match="comments"):
        formatted(b'name = "a" # b\n', toml)
    with pytest.raises(CannotFormat, match="not a text"):
        formatted(format_named("msgpack").write({"name": "x"}), format_named("msgpack"))
    with pytest.raises(WorkflowInvalid, match="tabs"):
        formatted(b"name: x\nnodes:\n\ta: 1\n", YAML)
    with pytest.raises(WorkflowInvalid, match="alias"):
        formatted(b"name: &a x\ntags: [*a]\n", YAML)


def test_every_key_of_the_format_has_its_place() -> None:
    nodes = {key for table in schema_nodes.TABLES for key in schema_nodes.TABLES[table]}
    for name in ("kind", "node", "control"):
        assert set(schema_nodes.TABLES[name]) <= set(NODE.order), name
    assert nodes
    assert set(schema.TABLES["workflow"]) <= set(WORKFLOW.order)
    for table, shape in (
        ("input", WORKFLOW.of("inputs").of("x")),
        ("budget", WORKFLOW.of("budget")),
    ):
        assert set(schema.TABLES[table]) <= set(shape.order)
    assert set(schema_nodes.TABLES["step"]) <= set(WORKFLOW.of("steps").of(0).order)
    for table in ("retry", "artifact"):
        assert set(schema_nodes.TABLES[table]) <= set(NODE.of(table).order)
    assert set(schema_edges.TABLES["edge"]) <= set(WORKFLOW.of("edges").of(0).order)


@pytest.mark.parametrize(
    "path",
    [one for one in FILES if "conformance" not in one.parts],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_what_ships_is_in_canonical_layout(path: Path) -> None:
    assert formatted(path.read_bytes(), format_of(path)) == path.read_bytes(), f"symphony fmt {path}"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("yaml", "on: [push]\njobs:\n    build: {runs-on: linux}\n"),
        ("yaml", "name: CI\nversion: '3'\ntasks:\n    a: {}\n"),
        ("json", '{"name": "site", "version": "1.0.0", "scripts": {}}'),
        ("toml", '[project]\nname="x"\n'),
    ],
)
def test_a_file_of_another_program_is_refused(kind: str, text: str) -> None:
    with pytest.raises(CannotFormat, match="not a workflow: it has no nodes"):
        formatted(text.encode(), format_named(kind))


@pytest.mark.parametrize(
    "text", ["name:  Begun\n", "{}\n", "steps:   []\nother: 1\n", "nodes:   {}\nother: 1\n"]
)
def test_a_workflow_that_was_only_begun_or_has_unknown_keys_is_laid_out(text: str) -> None:
    assert b"  " not in formatted(text.encode(), format_named("yaml"))
