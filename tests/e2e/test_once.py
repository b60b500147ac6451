"""The files of a workflow are opened once and decoded once, from the command line to the end of its run.

Counted where the file is opened and where libraries decode, in the process that runs it.
"""

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

from symphony.cli.main import main

sys.argv = ["symphony", *words]
try:
    main()
finally:
    print("COUNTED", counted["opened"], counted["decoded"], file=sys.stderr)
"""


@pytest.mark.parametrize("words", [(), ("--memory",), ("--json",), ("--dry-run",)], ids=" ".join)
@pytest.mark.parametrize("format_", ["yaml", "json", "toml", "msgpack"])
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
