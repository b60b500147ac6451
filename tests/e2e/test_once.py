"""What a run needs is worked out once: files are opened and decoded once, expressions compiled once.

Counted where the file is opened, where libraries decode and compile and where edges are made, in the
process that runs it.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from symphony.workflow import dumps, loads

pytestmark = pytest.mark.slow

MARK: Final = "a-text-of-this-workflow-alone"
WORKFLOW: Final = f"""\
name: once
description: {MARK}
inputs:
  unused: {{type: string, default: x}}
nodes:
  a: {{operator: debug.value, inputs: {{value: 1}}}}
  b: {{operator: debug.value, inputs: {{value: ["${{{{ a.result }}}}", 1]}}}}
  c: {{operator: debug.value, for_each: "[1, 2, 3]", inputs: {{value: "${{{{ item }}}}"}}}}
  d: {{workflow: below, inputs: {{x: 1}}}}
outputs: {{b: "${{{{ b.result }}}}", c: "${{{{ c.result }}}}"}}
"""
BELOW: Final = f"""\
name: below
description: {MARK}
inputs:
  x: {{type: integer}}
nodes:
  a: {{operator: debug.value, inputs: {{value: "${{{{ inputs.x }}}}"}}}}
outputs: {{a: "${{{{ a.result }}}}"}}
"""
COUNTING: Final = """\
import json
import os
import sys
import tomllib

import msgspec
import yaml

from symphony.commons.bincode import TypeCodec

files, mark, *words = sys.argv[1:]
counted = {"opened": 0, "decoded": 0}


def heard(event, given):
    if event == "open" and isinstance(given[0], (str, bytes, os.PathLike)):
        counted["opened"] += os.path.basename(os.fsdecode(given[0])) in files.split()


def counting(decode):
    def decoded(body, *more, **named):
        held = body.encode() if isinstance(body, str) else bytes(body)
        counted["decoded"] += mark.encode() in held
        return decode(body, *more, **named)

    return decoded


class Loader(yaml.CSafeLoader):
    def __init__(self, stream):
        counted["decoded"] += mark in stream
        super().__init__(stream)


sys.addaudithook(heard)
yaml.CSafeLoader = Loader
tomllib.loads = counting(tomllib.loads)
json.loads = counting(json.loads)
msgspec.json.decode = counting(msgspec.json.decode)
msgspec.msgpack.decode = counting(msgspec.msgpack.decode)
bincode = TypeCodec.decode
TypeCodec.decode = lambda codec, body: counting(lambda whole: bincode(codec, whole))(body)

from symphony.cli.main import main

sys.argv = ["symphony", *words]
try:
    main()
finally:
    print("COUNTED", counted["opened"], counted["decoded"], file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("format_", "words"),
    [
        *((one, ()) for one in ("yaml", "json", "toml", "msgpack", "bincode")),
        *(("json", words) for words in (("--memory",), ("--json",), ("--dry-run",))),
    ],
)
def test_a_run_opens_each_of_its_files_once_and_decodes_it_once(
    format_: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / f"once.{format_}"
    path.write_bytes(dumps(loads(WORKFLOW, "yaml"), format_))
    (tmp_path / "below.yaml").write_text(BELOW)
    ran = subprocess.run(
        [sys.executable, "-c", COUNTING, f"{path.name} below.yaml", MARK, "run", *words, path.name],
        cwd=tmp_path, env={"SYMPHONY_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "unused" in ran.stderr  # a warning, which has a place in the file
    assert ran.stderr.splitlines()[-1] == "COUNTED 2 2", ran.stderr


def test_a_run_that_fails_opens_its_files_once_to_tell_where(tmp_path: Path) -> None:
    path = tmp_path / "once.yaml"
    path.write_text(WORKFLOW)
    fails = BELOW.replace("operator: debug.value", "command: 'false'").replace("a.result", "a.stdout")
    (tmp_path / "below.yaml").write_text(fails)
    ran = subprocess.run(
        [sys.executable, "-c", COUNTING, f"{path.name} below.yaml", MARK, "run", path.name],
        cwd=tmp_path, env={"SYMPHONY_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "--> below.yaml:6:3 (nodes.a)" in ran.stderr
    assert ran.stderr.splitlines()[-1] == "COUNTED 2 2", ran.stderr


COMPILING: Final = '''
import json, pathlib, sys
from cel_expr_python import cel

texts, edges, links = [], [], []
made = cel.NewEnv


class Counted:
    """An environment that notes what it compiles."""

    def __init__(self, **given):
        self._environment = made(**given)

    def compile(self, text, **given):
        texts.append(text)
        return self._environment.compile(text, **given)


cel.NewEnv = Counted

import symphony.pit.tracker.core.structure as structure
import symphony.workflow.derived as derived


def noting(kind, found):
    def noted(*args, **given):
        found.append(kind.__name__)
        return kind(*args, **given)
    return noted


derived.DataEdge, derived.ControlEdge = noting(derived.DataEdge, edges), noting(derived.ControlEdge, edges)
structure.PlanLink = noting(structure.PlanLink, links)

from symphony.cli.main import main

place, *arguments = sys.argv[1:]
sys.argv[1:] = arguments
try:
    main()
finally:
    found = {"compiled": texts, "edges": len(edges), "links": len(links)}
    pathlib.Path(place).write_text(json.dumps(found))
'''


def counted(folder: Path, *arguments: str) -> dict[str, object]:
    """What the process of a command with these arguments compiled, and how many edges it made."""
    place = folder / "counts.json"
    done = subprocess.run(
        [sys.executable, "-P", "-c", COMPILING, str(place), *arguments],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
        env={"SYMPHONY_HOME": str(folder / "home"), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(place.read_text())
    assert isinstance(found, dict)
    return found


def layers(folder: Path, *, when: str) -> Path:
    """Twelve nodes that each read four others, with a condition of their own."""
    nodes: dict[str, object] = {
        f"a{i}": {"operator": "debug.value", "inputs": {"value": i}} for i in range(4)
    }
    for i in range(12):
        reads = [f"${{{{ a{j}.result }}}}" for j in range(4)]
        nodes[f"b{i}"] = {
            "operator": "debug.value",
            "inputs": {"value": reads},
            "when": when.format(i=i),
        }
    path = folder / "flow.json"
    document = {"symphony": 1, "name": "once", "inputs": {"n": {"type": "integer", "default": 90}}}
    path.write_text(json.dumps({**document, "nodes": nodes}))
    return path


def test_an_expression_on_what_may_be_anything_is_compiled_once(tmp_path: Path) -> None:
    compiled = counted(tmp_path, "run", str(layers(tmp_path, when="a1.result + {i} < 100")))["compiled"]
    assert isinstance(compiled, list)
    assert len(compiled) == len(set(compiled)) == 12


def test_a_typed_expression_is_compiled_to_evaluate_it_and_once_to_check_all_of_its_form(
    tmp_path: Path,
) -> None:
    compiled = counted(tmp_path, "run", str(layers(tmp_path, when="inputs.n + {i} < 200")))["compiled"]
    assert isinstance(compiled, list)
    assert len(set(compiled)) == 12
    assert len(compiled) == 13


def test_validation_compiles_once_all_expressions_that_differ_in_numbers(tmp_path: Path) -> None:
    compiled = counted(tmp_path, "validate", str(layers(tmp_path, when="inputs.n + {i} < 200")))["compiled"]
    assert isinstance(compiled, list)
    assert len(compiled) == 1


def test_validation_compiles_each_other_expression_once(tmp_path: Path) -> None:
    path = layers(tmp_path, when="inputs.n < 200 || size('{i}') == 7")
    compiled = counted(tmp_path, "validate", str(path))["compiled"]
    assert isinstance(compiled, list)
    assert len(compiled) == len(set(compiled)) == 12


def test_a_run_makes_no_edges_and_one_link_for_each_node(tmp_path: Path) -> None:
    found = counted(tmp_path, "run", str(layers(tmp_path, when="a1.result + {i} < 100")))
    assert found["edges"] == 0
    assert found["links"] == 16  # shared by all that lead to the node
