"""Start-up is quick because heavy libraries are imported late: by name, as times differ by machine."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.support.commands import CommandLine

from symphony.kit.homes import HOMES

HEAVY = {
    "cel_expr_python", "jinja2", "jmespath", "multiprocessing", "networkx", "numpy", "onnxruntime",
    "psutil", "pydantic", "pytest", "rich", "sqlite3", "structlog", "tomli_w", "typer", "uvloop", "yaml",
}  # fmt: skip


def modules(program: str, *, cwd: Path | None = None, env: Mapping[str, str] = os.environ) -> set[str]:
    """All that a fresh interpreter has imported after `program`."""
    ending = """
import json, sys
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program + ending],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**env, "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def imported(program: str, *, cwd: Path | None = None, env: Mapping[str, str] = os.environ) -> set[str]:
    """Top-level names of all that a fresh interpreter has imported after `program`."""
    return {name.split(".")[0] for name in modules(program, cwd=cwd, env=env)}


def running(*arguments: str) -> str:
    """A program that runs a command which ends well."""
    return f"""
import sys
sys.argv = ["symphony", *{list(arguments)!r}]
from symphony.cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""


@pytest.mark.parametrize(
    ("program", "also"),
    [
        ("import symphony", {"asyncio", "msgspec", "click", "logging"}),
        ("import symphony.commons.errors", {"asyncio", "msgspec"}),
        ("import symphony.commons.logging", {"asyncio"}),
        ("import symphony.commons.config", {"asyncio"}),
        ("from symphony.sdk import operator", {"asyncio", "click"}),
        ("from symphony.workflow import WorkflowBuilder, load", {"click"}),
    ],
)
def test_importing_brings_in_nothing_heavy(program: str, also: set[str]) -> None:
    assert imported(program) & (HEAVY | also) == set()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"]])
def test_help_and_version_bring_in_nothing_heavy(arguments: list[str]) -> None:
    assert imported(running(*arguments)) & (HEAVY | {"asyncio"}) == set()


FLOW = '{"symphony": 1, "name": "w", "nodes": {"a": {"operator": "debug.value", "inputs": {"value": 1}}}}'
OPERATORS = """
from symphony.sdk import operator

@operator("own.same", version="1.0.0")
def same(value: int) -> int:
    return value
"""
STARTING = {
    "asyncio", "cel_expr_python", "symphony.app.launching", "symphony.kit", "symphony.pit.tracker.engine",
    "symphony.pit.tracker.nodes", "symphony.sdk", "symphony.workflow.validation", "yaml",
}  # fmt: skip
SLOW = {"dataclasses", "difflib", "importlib.resources", "logging.handlers", "tomllib", "zipfile"}
"""Modules of Python that cost more than a module of ours, and that only special cases need."""
RARE = SLOW | {
    "cel_expr_python", "symphony.app.exporting", "symphony.app.foreseeing", "symphony.app.rerunning",
    "symphony.cli.actions.answering", "symphony.cli.actions.live_views", "symphony.commons.installation",
    "symphony.commons.log_files", "symphony.pit.arbitration", "symphony.pit.artifacts.bodies",
    "symphony.pit.artifacts.metadata", "symphony.pit.artifacts.packs", "symphony.pit.artifacts.search",
    "symphony.pit.artifacts.store", "symphony.pit.pool", "symphony.pit.stale",
    "symphony.pit.tracker.engine.reruns.rerun_steps",
    "symphony.pit.tracker.insight.history", "symphony.pit.tracker.insight.outline", "symphony.ports.metrics",
    "symphony.ports.search", "symphony.sdk.reading.module", "symphony.workflow.remedies",
    "symphony.workflow.templates",
    "symphony.workflow.validation.remedies",
}  # fmt: skip
"""What only some workflows, errors, options and terminals need, of a run that goes straight through."""
BESIDE_RUNS = {
    "symphony.cli.views.versions", "symphony.pit.arbitration", "symphony.pit.artifacts.packs",
    "symphony.pit.artifacts.search", "symphony.pit.pool", "symphony.pit.stale", "symphony.ports.retention",
    "symphony.ports.search",
}  # fmt: skip
"""What commands that look at runs need not know."""
READING = {
    "symphony.ipc.codecs", "symphony.pit.artifacts.store.files", "symphony.pit.tracker.insight.reader",
    "symphony.workflow.expressions", "symphony.workflow.files",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "without"),
    [
        (["runs", "list"], STARTING | READING | BESIDE_RUNS),
        (["runs", "show", "last"], STARTING | READING | BESIDE_RUNS),
        (["runs", "events", "last"], STARTING | BESIDE_RUNS),
        (["runs", "logs", "last"], STARTING | READING | BESIDE_RUNS),
    ],
)
def test_commands_that_look_at_runs_bring_in_nothing_that_begins_them(
    tmp_path: Path, arguments: list[str], without: set[str]
) -> None:
    line = CommandLine(tmp_path)
    line.write("flow.json", FLOW)
    line.type("run", "flow.json")
    found = modules(running(*arguments), cwd=tmp_path, env=line.environment())
    assert found & without == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["validate", "flow.json"],
        ["graph", "flow.json"],
        ["run", "flow.json"],
        ["run", "--operators", "ops.py", "own.json"],
        ["run", "command.json"],
        ["runs", "list"],
        ["runs", "show", "last"],
        ["runs", "logs", "last"],
        ["runs", "rerun", "last"],
    ],
    ids=" ".join,
)
def test_everyday_commands_bring_in_nothing_that_few_need(tmp_path: Path, arguments: list[str]) -> None:
    line = CommandLine(tmp_path)
    line.write("flow.json", FLOW)
    line.write("own.json", FLOW.replace("debug.value", "own.same"))
    line.write("ops.py", OPERATORS)
    line.write("command.json", '{"symphony": 1, "name": "c", "nodes": {"a": {"command": "echo hi"}}}')
    line.type("run", "flow.json")
    found = modules(running(*arguments), cwd=tmp_path, env=line.environment())
    assert found & (RARE if arguments[0] in ("run", "validate") else SLOW) == set()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [["artifacts", "list"], ["artifacts", "get", "w"]], ids=" ".join)
def test_artifacts_in_the_home_bring_in_nothing_of_places_outside(
    tmp_path: Path, arguments: list[str]
) -> None:
    line = CommandLine(tmp_path)
    line.write("w", "text")
    line.type("artifacts", "put", "w")
    found = modules(running(*arguments), cwd=tmp_path, env=line.environment())
    outside = {"symphony.pit.artifacts.places", "symphony.pit.artifacts.bodies.tiering"}
    assert found & (outside | {"difflib", "shutil"}) == set()


@pytest.mark.slow
def test_a_run_brings_in_of_the_kit_only_what_its_nodes_name(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    line.write("flow.json", FLOW)
    found = modules(running("run", "flow.json"), cwd=tmp_path, env=line.environment())
    assert found & {f"symphony.kit.{home}" for home in HOMES} == {"symphony.kit.debug"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("node", "loaded"),
    [
        ("debug.value, inputs: {value: 1}", set[str]()),
        ("data.sort, inputs: {items: [1], limit: 2}", set[str]()),
        ("text.regex, inputs: {text: a, pattern: '(a)'}", {"regex"}),
        ("json.query, inputs: {data: 1, expression: a.b}", {"jmespath"}),
        ("text.render, inputs: {text: a}", {"jinja2"}),
    ],
)
def test_validation_loads_a_language_for_the_first_text_in_it(
    tmp_path: Path, node: str, loaded: set[str]
) -> None:
    line = CommandLine(tmp_path)
    line.write("flow.yaml", f"name: w\nnodes:\n  a: {{operator: {node}}}\n")
    found = modules(running("validate", "flow.yaml"), cwd=tmp_path, env=line.environment())
    assert found & {"cel_expr_python", "jinja2", "jmespath", "regex"} == loaded
