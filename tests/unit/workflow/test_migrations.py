"""Files of every schema version are read; those of versions to come are refused with the cure.

For each version, tests/data/migrations holds a file as it was written then (`N.yaml`, `N.bincode`)
and what it is today (`N.today.json`).
"""

from pathlib import Path

import pytest

from symphony.workflow import dumps, load, loads
from symphony.workflow.documents import FORMATS, format_named
from symphony.workflow.documents.tree import Tree
from symphony.workflow.files import read_bytes
from symphony.workflow.migrations import MIGRATIONS, OLDEST, migrated
from symphony.workflow.model import SCHEMA_VERSION

DATA = Path(__file__).parents[2] / "data" / "migrations"


@pytest.mark.parametrize("version", range(OLDEST, SCHEMA_VERSION + 1))
@pytest.mark.parametrize("suffix", ["yaml", "bincode"])
def test_a_file_of_every_version_is_what_it_was(version: int, suffix: str) -> None:
    workflow = load(DATA / f"{version}.{suffix}")
    assert workflow == load(DATA / f"{version}.today.json")
    assert workflow.schema == SCHEMA_VERSION


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
        "yaml": (b"symphony: 1", b"symphony: 2"), "toml": (b"symphony = 1", b"symphony = 2"),
        "json": (b'"symphony":1', b'"symphony":2'), "pretty-json": (b'"symphony": 1', b'"symphony": 2'),
        "msgpack": (b"symphony\x01", b"symphony\x02"), "bincode": (b"\x01\0\0\0", b"\x02\0\0\0"),
    }[name]  # fmt: skip
    assert newer[0] in body
    [problem] = read_bytes(body.replace(*newer, 1), format_named(name)).problems
    assert (problem.code, problem.place) == ("unsupported-schema", "symphony")
    assert problem.hint == "install Symphony 2.0 or newer"
