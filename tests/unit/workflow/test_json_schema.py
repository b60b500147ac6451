"""The published JSON Schema accepts what the reader accepts, and refuses what it can know to be wrong."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from symphony.workflow import builtin_catalog, read
from symphony.workflow.documents import format_of, parse
from symphony.workflow.documents.tree import Tree
from symphony.workflow.json_schema import TABLES, json_schema
from symphony.workflow.json_schema_words import MEANINGS

CASES = Path(__file__).parents[2] / "conformance" / "cases"
FILES = sorted(path for path in CASES.glob("*/workflow.*") if path.suffix != ".py")
EXAMPLES = sorted((Path(__file__).parents[3] / "examples").rglob("workflow.yaml"))
PLAIN = Draft202012Validator(json_schema())
PORTS = Draft202012Validator(json_schema(builtin_catalog()))
STRUCTURE = {
    "unknown-key",
    "type-mismatch",
    "missing-input",
    "bad-name",
    "reserved-name",
    "unsupported-schema",
}
OK = {"a": {"operator": "debug.value", "inputs": {"value": 1}}}


def tree_of(path: Path) -> Tree:
    return parse(path.read_bytes(), format_of(path)).tree


@pytest.mark.slow
def test_it_is_itself_a_schema() -> None:
    for schema in (PLAIN.schema, PORTS.schema):
        Draft202012Validator.check_schema(schema)
        json.dumps(schema)


def test_every_key_has_its_meaning_and_every_meaning_its_key() -> None:
    assert {(table, key) for table, keys in TABLES.items() for key in keys} == MEANINGS.keys()


@pytest.mark.parametrize("path", [*FILES, *EXAMPLES], ids=lambda path: path.parent.name)
def test_what_is_read_without_problems_fits(path: Path) -> None:
    if read(path).problems:
        assert not PLAIN.is_valid(tree_of(path)) or beyond_a_schema(path)
    else:
        PLAIN.validate(tree_of(path))


def beyond_a_schema(path: Path) -> bool:
    """Are these problems of text, of names or of values, or of the few kinds that no schema can tell?"""
    found = {problem.code for problem in read(path).problems}
    return not found & STRUCTURE or path.parent.name[:3] in TOO_FINE


TOO_FINE = frozenset({"033", "060"})
"""Cases of what is no value, and of defaults that do not fit their type: a schema cannot tell."""


def workflow(**more: object) -> dict[str, object]:
    return {"name": "x", "nodes": OK, **more}


def with_node(**keys: object) -> dict[str, object]:
    return {"name": "x", "nodes": {"a": keys}}


WRONG: list[dict[str, object]] = [
    {}, {"name": "x"}, {"nodes": OK}, workflow(nodes={}), workflow(colour="red"), workflow(name="x" * 101),
    workflow(name=""), workflow(version="1.0"), workflow(symphony=0), workflow(symphony=3),
    workflow(symphony="1"),
    workflow(tags="a"), workflow(env=["1X"]), workflow(steps=[{"name": "a", "command": "b"}]),
    workflow(nodes={"1a": OK["a"]}), workflow(nodes={"inputs": OK["a"]}), workflow(nodes={"int": OK["a"]}),
    workflow(inputs={"run": {}}), workflow(inputs={"x": {"type": "strin"}}), workflow(budget={}),
    workflow(inputs={"x": {"type": "list[]"}}), workflow(inputs={"x": {"type": "string", "enum": ["a"]}}),
    workflow(inputs={"x": {"min": "1"}}), workflow(budget={"money": -1}), workflow(budget={"calls": 0}),
    with_node(), with_node(operator="a", command="b"), with_node(operator=""), with_node(operator="a", x=1),
    with_node(operator="a", timeout="5"), with_node(operator="a", timeout="9" * 13 + "s"),
    with_node(operator="a", retry={"attempts": 0}), with_node(operator="a", retry={"backoff": "slow"}),
    with_node(operator="a", cache="always"), with_node(operator="a", on_error="stop"),
    with_node(operator="a", on_error={}), with_node(operator="a", on_error={"value": {}, "fallback": "b"}),
    with_node(operator="a", concurrency=2), with_node(operator="a", fail_fast=False),
    with_node(operator="a", label="item"),
    with_node(operator="a", after=["a.b.c"]),
    with_node(operator="a", position=[1]), with_node(operator="a", artifact={}),
    with_node(operator="a", body=OK),
    with_node(control="if"), with_node(control="branch"), with_node(control="merge", condition="true"),
    with_node(control="branch", condition="true", switch="x", cases={"a": 1}),
    with_node(control="branch", switch="x"), with_node(control="branch", condition="true", default="x"),
    with_node(control="delay"), with_node(control="delay", **{"for": "1s", "until": "x"}),
    with_node(control="loop", body=OK), with_node(control="loop", until="true"),
    with_node(control="loop", until="true", body={"a": {}}), with_node(control="approval", on_timeout="wait"),
    workflow(edges=[{"from": "a"}]), workflow(edges=[{"from": "a.b", "to": "c", "when": "true"}]),
    workflow(edges=[{"from": "a", "to": "b", "label": "x"}]), workflow(edges=[{"from": "a b", "to": "b"}]),
    {"name": "x", "steps": [{"name": "a"}]}, {"name": "x", "steps": []},
    {"name": "x", "steps": [{"name": "", "command": "a"}]},
    {"name": "x", "steps": [{"name": 1, "command": "a"}]},
    {"name": "x", "steps": [{"name": "a b", "command": "a"}]},
    {"name": "x", "steps": [{"name": "run", "command": "a"}]},
    {"name": "x", "steps": [{"name": "a", "command": "a", "needs": [""]}]},
]  # fmt: skip


@pytest.mark.parametrize("tree", WRONG, ids=str)
def test_what_the_reader_refuses_does_not_fit(tree: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_text(json.dumps(tree), encoding="utf-8")
    assert read(path).problems
    assert not PLAIN.is_valid(tree)


def test_with_a_catalogue_it_knows_the_ports() -> None:
    for name in ("text.join", "text.join@1.0.0"):
        assert PORTS.is_valid(with_node(operator=name, inputs={"parts": ["a"]}))
        assert not PORTS.is_valid(with_node(operator=name, inputs={"part": ["a"]}))
    assert PORTS.is_valid(with_node(operator="textXjoin", inputs={"part": 1}))
    node = PORTS.schema["$defs"]["node"]
    assert "text.join" in node["properties"]["operator"]["examples"]
    [rule] = [one for one in node["allOf"] if "text.join" in json.dumps(one["if"])]
    assert "list[string]" in rule["then"]["properties"]["inputs"]["properties"]["parts"]["description"]
