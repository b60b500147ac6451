"""A home that is moved, removed or replaced while a run goes on: the result is told from memory."""

import json
from pathlib import Path

import pytest
from tests.support.commands import CommandLine

pytestmark = pytest.mark.slow

WORKFLOW = """\
name: Moved
nodes:
  a: {{command: "cd '{folder}'; {act}"}}
  b: {{command: echo second, after: [a]}}
  c: {{operator: data.range, inputs: {{count: {count}}}, after: [b]}}
  d: {{operator: debug.{last}, after: [c]}}
outputs: {{n: "${{{{ b.stdout }}}}", c: "${{{{ c.result }}}}"}}
"""
ACTS = {
    "moved": "mv home elsewhere",
    "removed": "rm -rf home",
    "replaced": "mv home elsewhere; mkdir -m 700 home",
    "a file": "mv home elsewhere; echo no folder > home",
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("form", [["--json"], []])
@pytest.mark.parametrize("last", ["value", "fail"])
def test_the_result_is_told_though_the_home_is_gone(
    tmp_path: Path, act: str, form: list[str], last: str
) -> None:
    text = WORKFLOW.format(folder=tmp_path, act=ACTS[act], count=3, last=last)
    if last == "value":
        text = text.replace("debug.value,", "debug.value, inputs: {value: 1},")
    line = CommandLine(tmp_path)
    line.write("w.yaml", text)
    done = line.call("run", "w.yaml", *form)
    assert done.status == (1 if last == "fail" else 0), done.err
    if form:
        assert json.loads(done.out)["status"] == ("failed" if last == "fail" else "succeeded")
    elif last == "value":
        assert done.out == "n = second\nc = [1, 2, 3]\n"
    assert "the record of this run is no longer in" in done.err
    assert "symphony runs " not in done.err
    if act in ("moved", "replaced"):
        shown = CommandLine(tmp_path, tmp_path / "elsewhere").json("runs", "show", "last")
        assert shown["status"] == ("failed" if last == "fail" else "succeeded")
