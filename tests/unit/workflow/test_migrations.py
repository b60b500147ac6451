"""Files of every schema version are read; those of versions to come are refused with the cure.

For each version, tests/data/migrations holds a file as it was written then (`N.yaml`, `N.bincode`)
and what it is today (`N.today.json`). `1.keys.txt` names the keys that version 1 had.
"""

from pathlib import Path

import pytest

from symphony import __version__
from symphony.workflow import dumps, load, loads
from symphony.workflow.documents import FORMATS, format_named, parse
from symphony.workflow.documents.tree import Tree
from symphony.workflow.files import read_bytes
from symphony.workflow.json_schema import TABLES
from symphony.workflow.migrations import MIGRATIONS, OLDEST, migrated
from symphony.workflow.model import SCHEMA_VERSION
from symphony.workflow.versions import SINCE, version_needed

DATA = Path(__file__).parents[2] / "data" / "migrations"


@pytest.mark.parametrize("version", range(OLDEST, SCHEMA_VERSION + 1))
@pytest.mark.parametrize("suffix", ["yaml", "bincode"])
def test_a_file_of_every_version_is_what_it_was(version: int, suffix: str) -> None:
    workflow = load(DATA / f"{version}.{suffix}")
    assert workflow == load(DATA / f"{version}.today.json")


def test_there_is_a_migration_from_every_earlier_version() -> None:
    assert list(MIGRATIONS) == list(range(OLDEST, SCHEMA_VERSION))


def _renamed(document: dict[str, Tree]) -> dict[str, Tree]:
    """From a version that called nodes tasks."""
    if "tasks" in document:
        document["nodes"] = document.pop("tasks")
    return document


def _described(document: dict[str, Tree]) -> dict[str, Tree]:
    """From a version that had a title for each."""
    return {("description" if key == "title" else key): item for key, item in document.items()}


SYNTHETIC = {1: _renamed, 2: _described}


@pytest.mark.parametrize(
    "document",
    [
        {"name": "x", "title": "t", "tasks": {"a": 1}},
        {"symphony": 1, "name": "x", "title": "t", "tasks": {"a": 1}},
        {"symphony": 2, "name": "x", "title": "t", "nodes": {"a": 1}},
        {"symphony": 3, "name": "x", "description": "t", "nodes": {"a": 1}},
    ],
)
def test_migrations_are_applied_one_after_the_other(document: dict[str, Tree]) -> None:
    given = dict(document)
    found = migrated(document, SYNTHETIC, current=3)
    assert found == {"symphony": 3, "name": "x", "description": "t", "nodes": {"a": 1}}
    assert document == given  # nothing changed underneath the caller


@pytest.mark.parametrize("version", [0, -1, 4, 10**30, "1", 1.0, True, None, [], {}])
def test_versions_that_nobody_knows_are_refused(version: Tree) -> None:
    assert migrated({"symphony": version}, SYNTHETIC, current=3) is None


@pytest.mark.parametrize("name", FORMATS)
def test_a_newer_version_is_refused_in_every_format_and_the_hint_says_what_to_install(name: str) -> None:
    good = loads("name: x\nnodes: {a: {command: 'true'}}\n", "yaml")
    body = dumps(good, name)
    newer = {
        "yaml": (b"symphony: 1", b"symphony: 3"), "toml": (b"symphony = 1", b"symphony = 3"),
        "json": (b'"symphony":1', b'"symphony":3'), "pretty-json": (b'"symphony": 1', b'"symphony": 3'),
        "msgpack": (b"symphony\x01", b"symphony\x03"), "bincode": (b"\x01\0\0\0", b"\x03\0\0\0"),
    }[name]  # fmt: skip
    assert newer[0] in body
    [problem] = read_bytes(body.replace(*newer, 1), format_named(name)).problems
    assert (problem.code, problem.place) == ("unsupported-schema", "symphony")
    assert problem.hint == f"install a newer Symphony: this is {__version__}, which reads version 1 or 2"


def _named(table: str, key: str) -> str:
    return f"{table}.{key}"


def test_every_key_that_version_1_did_not_have_is_told_with_its_version() -> None:
    first = (DATA / "1.keys.txt").read_text(encoding="utf-8").split()
    since = {_named(table, key): version for table, keys in SINCE.items() for key, version in keys.items()}
    today = {_named(table, key) for table, keys in TABLES.items() for key in keys}
    assert today == {*first, *since}
    assert not set(first) & since.keys()
    assert all(OLDEST < version <= SCHEMA_VERSION for version in since.values())


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("version", range(OLDEST, SCHEMA_VERSION + 1))
def test_a_document_is_written_in_the_lowest_version_that_has_its_keys(version: int, name: str) -> None:
    body = dumps(load(DATA / f"{version}.yaml"), name)
    tree = parse(body, format_named(name)).tree
    assert isinstance(tree, dict)
    assert tree["symphony"] == version


def _in_a_loop(node: dict[str, Tree]) -> dict[str, Tree]:
    return {"control": "loop", "until": "true", "body": {"inner": node}}


def test_a_key_in_a_loop_in_a_loop_decides_too() -> None:
    for table, key in [(table, key) for table, keys in SINCE.items() for key in keys]:
        new: dict[str, Tree] = {"command": "true", **({key: "x"} if table == "node" else {})}
        document: dict[str, Tree] = {"nodes": {"outer": _in_a_loop(_in_a_loop(new))}}
        if table != "node":
            document |= {key: "x"} if table == "workflow" else {table: {key: "x"}}
        assert version_needed(document) == SINCE[table][key]
