"""Processes that are killed inside each control, answered, paused and raced for, and go on rightly."""

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.commands import CommandLine, kill, statuses
from tests.support.effects import effects
from tests.support.waiting import PATIENCE_S, wait_until

from symphony import Symphony
from symphony.app import Runs
from symphony.commons.errors import SymphonyError

pytestmark = pytest.mark.slow

CHILD = """\
name: child
inputs: {n: {type: integer}}
nodes:
  first: {command: 'echo "in$N" >> effects', inputs: {n: "${{ inputs.n }}"}}
  slow:
    command: 'echo "slow$N" >> effects; while [ ! -e go ]; do sleep 0.05; done'
    idempotent: true
    inputs: {n: "${{ inputs.n }}"}
    after: [first]
outputs: {n: "${{ slow.exit_code + inputs.n }}"}
"""
LOOP = """\
nodes:
  grow:
    control: loop
    state: {x: 1}
    until: iteration >= 2
    body:
      c: {workflow: child.yaml, inputs: {n: "${{ state.x }}"}}
    next: {x: c.n * 10}
outputs: {x: "${{ grow.x }}"}
"""
EACH = """\
nodes:
  each: {workflow: child.yaml, for_each: "[1, 2, 3]", concurrency: 1, inputs: {n: "${{ item }}"}}
outputs: {x: "${{ each.n }}"}
"""
DELAY = """\
nodes:
  a: {command: 'echo a >> effects'}
  d: {control: delay, for: 1500ms, after: [a]}
  c: {command: 'echo c >> effects; while [ ! -e go ]; do sleep 0.05; done', idempotent: true, after: [a]}
  b: {command: 'echo b >> effects', after: [d]}
outputs: {x: "${{ b.exit_code }}"}
"""
CASES: Mapping[str, tuple[str, str, object, str]] = {
    "loop and sub-workflow": (LOOP, "slow1", {"x": 1000}, "in1 in10 in100"),
    "fan-out of sub-workflows": (EACH, "slow1", {"x": [1, 2, 3]}, "in1 in2 in3"),
    "delay": (DELAY, "c", {"x": 0}, "a b"),
}


class Place(CommandLine):
    """A home, a workflow and the file where its effects show."""

    def __init__(self, folder: Path, text: str) -> None:
        super().__init__(folder)
        self.write("child.yaml", CHILD)
        self.write("w.yaml", f"name: W\n{text}")

    def node(self, name: str) -> str:
        return statuses(self.json("runs", "show", "last"))[name]

    def wait_for(self, effect: str, process: "subprocess.Popen[str]") -> None:
        wait_until(lambda: effect in self.counts(), process)

    def counts(self) -> Counter[str]:
        return effects(self.folder / "effects")


@pytest.mark.parametrize("case", CASES)
def test_a_run_killed_inside_a_control_goes_on_there_and_repeats_no_effect(case: str, tmp_path: Path) -> None:
    text, moment, outputs, once = CASES[case]
    place = Place(tmp_path, text)
    process = place.start("run", "w.yaml", "-q")
    place.wait_for(moment, process)
    kill(process)
    (tmp_path / "go").touch()
    (tmp_path / "child.yaml").write_text("not: [what it was", encoding="utf-8")
    assert place.call("runs", "show", "last")[0] == 0  # the sub-workflow is the one that was recorded
    result = place.json("runs", "resume", "last", "-q")
    assert (result["status"], result["outputs"]) == ("succeeded", outputs)
    counts = place.counts()
    assert {name: counts[name] for name in once.split()} == dict.fromkeys(once.split(), 1)


APPROVAL = """\
nodes:
  gate: {control: approval, message: "Publish?", timeout: 10m}
  done: {command: 'echo done >> effects', after: [gate]}
outputs: {by: "${{ gate.by }}", comment: "${{ gate.comment }}"}
"""


def test_an_answer_reaches_a_living_run_which_goes_on_by_itself(tmp_path: Path) -> None:
    place = Place(tmp_path, APPROVAL)
    process = place.start("run", "w.yaml", "-q", "--json")
    wait_until(lambda: place.call("runs", "list", "--status", "running").out != "", process)
    wait_until(lambda: place.node("gate") == "waiting", process)
    code, _, err = place.call("runs", "approve", "last", "gate", "--comment", "fine", "--by", "Ann")
    assert code == 0, err
    assert "goes on by itself" in err or "the run has ended: succeeded" in err  # it may be that quick
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert json.loads(out)["outputs"] == {"by": "Ann", "comment": "fine"}
    assert place.counts()["done"] == 1


NAMING = """\
nodes:
  gate: {control: approval, message: "Publish?"}
  quiet: {command: "true"}
  each: {command: 'echo "$V"', for_each: [a, b], inputs: {v: "${{ item }}"}}
"""


def test_every_command_that_takes_a_node_says_that_there_is_none_of_that_name(tmp_path: Path) -> None:
    place = Place(tmp_path, NAMING)
    assert place.call("run", "w.yaml", "-q")[0] == 4
    for words in (
        ("logs", "last", "gaet"), ("logs", "last", "gaet", "--follow"), ("logs", "last", "each[7]"),
        ("approve", "last", "gaet"), ("reject", "last", "gaet"), ("rerun", "last", "--from", "gaet"),
        ("resume", "last", "--retry", "gaet"), ("resume", "last", "--skip", "gaet"),
    ):  # fmt: skip
        code, out, err = place.call("runs", *words)
        assert (code, out, "error[unknown-node]" in err) == (2, "", True), (words, err)
    assert place.call("runs", "logs", "last", "quiet") == (0, "", "quiet of w-1 has printed nothing\n")
    assert place.call("runs", "logs", "last", "each[1]")[:2] == (0, "b\n")


def test_an_answer_without_an_owner_is_kept_and_two_who_go_on_do_it_once(tmp_path: Path) -> None:
    place = Place(tmp_path, APPROVAL.replace(", timeout: 10m", ""))
    assert place.call("run", "w.yaml", "-q")[0] == 4
    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(lambda what: place.call("runs", what, "last", "gate")[0], ["approve", "reject"])
        )
    assert sorted(answers) == [0, 2]
    _, shown, advice = place.call("runs", "show", "last")
    assert shown.startswith("interrupted")
    assert "answered, and recorded: gate" in advice
    assert "symphony runs resume" in advice
    with ThreadPoolExecutor(3) as pool:
        ends = list(pool.map(lambda _: place.call("runs", "resume", "last", "-q"), range(3)))
    assert 0 in [code for code, _, _ in ends]
    assert all(code == 0 or "run-busy" in err for code, _, err in ends), ends
    assert place.counts()["done"] == (1 if answers[0] == 0 else 0)


TIMED = """\
nodes:
  gate: {control: approval, message: "Publish?", timeout: 4s, on_timeout: ON_TIMEOUT}
  yes: {command: 'echo yes >> effects', after: [gate]}
  always: {command: 'echo always >> effects', inputs: {a: "${{ gate.approved }}"}}
outputs: {approved: "${{ gate.approved }}"}
"""


def asking(runs: Runs) -> bool:
    """Does the run ask somebody? Its journal may be in the making."""
    try:
        return any(runs.replay(run_id).asked for run_id in runs.ids())
    except SymphonyError:
        return False


@pytest.mark.parametrize("how", ["killed", "paused"])
@pytest.mark.parametrize(
    ("on_timeout", "status", "left"),
    [("approve", "succeeded", "yes always"), ("reject", "succeeded", "always"), ("fail", "failed", "")],
)
def test_a_question_whose_process_is_gone_is_settled_in_time_by_the_next_one(
    how: str, on_timeout: str, status: str, left: str, tmp_path: Path
) -> None:
    place = Place(tmp_path, TIMED.replace("ON_TIMEOUT", on_timeout))
    process, runs = place.start("run", "w.yaml", "-q"), Symphony.open(tmp_path / "home").runs
    wait_until(lambda: asking(runs), process)
    if how == "killed":
        os.kill(process.pid, signal.SIGKILL)
    else:
        runs.pause(runs.find("last"))
    process.communicate(timeout=PATIENCE_S)
    assert place.counts() == Counter()
    result = place.json("runs", "resume", "last", "-q", status=1 if status == "failed" else 0)
    assert result["status"] == status
    assert place.counts() == Counter(left.split())
    error = result["error"]
    assert (error if error is None else (error["code"], error["node"])) == (
        ("timeout", "gate") if status == "failed" else None
    )


def test_a_pause_lets_end_what_runs_and_begins_nothing(tmp_path: Path) -> None:
    place = Place(tmp_path, LOOP)
    process = place.start("run", "w.yaml", "-q", "--json")
    place.wait_for("slow1", process)
    assert place.call("runs", "pause", "last")[0] == 0
    (tmp_path / "go").touch()
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 4, err
    assert json.loads(out)["status"] == "paused"
    assert place.counts()["in10"] == 0
    assert place.json("runs", "resume", "last", "-q")["outputs"] == {"x": 1000}
    assert {name: n for name, n in place.counts().items() if name.startswith("in")} == {
        "in1": 1, "in10": 1, "in100": 1
    }  # fmt: skip


def test_a_run_without_an_owner_is_cancelled_inside_a_loop_and_can_be_run_again(tmp_path: Path) -> None:
    place = Place(tmp_path, LOOP)
    process = place.start("run", "w.yaml", "-q")
    place.wait_for("slow1", process)
    kill(process)
    (tmp_path / "go").touch()
    assert place.json("runs", "cancel", "last")["status"] == "cancelled"
    assert place.json("runs", "rerun", "last", "-q")["outputs"] == {"x": 1000}
    assert place.counts()["in1"] == 1


def test_an_answer_needs_no_node_where_only_one_asks(tmp_path: Path) -> None:
    place = Place(tmp_path, 'nodes:\n  a: {control: approval, message: "A?"}\n  b: {control: approval}\n')
    place.type("run", "w.yaml", "-q", status=4)
    _, err = place.type("runs", "reject", "last", status=2)
    assert "2 nodes of w-1 ask: a, b" in err
    assert "runs reject w-1 a" in err
    place.type("runs", "approve", "last", "b")
    assert place.type("runs", "reject", "last")[0] == "a rejected\n"
    _, err = place.type("runs", "approve", "last", status=2)
    assert "error[not-waiting]: no node of w-1 asks" in err
