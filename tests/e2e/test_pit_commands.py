"""`symphony pit` and `symphony models status|warm|unload`, with a real model and real processes."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.commands import CommandLine, outcome
from tests.support.processes import alive
from tests.support.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.slow

EMBED = """
name: Embed
inputs: {items: {type: "list[integer]", default: [1, 2, 3]}}
nodes:
  embed:
    for_each: "${{ inputs.items }}"
    instrument: minilm
    inputs: {texts: ["${{ string(item) }}", "a"]}
outputs: {number: "${{ size(embed.vectors) }}"}
"""

LONG = """
name: Long
inputs: {texts: {type: "list[string]"}}
nodes:
  embed: {instrument: minilm, inputs: {texts: "${{ inputs.texts }}"}}
outputs: {number: "${{ size(embed.vectors) }}"}
"""


def many(times: int) -> str:
    """So many calls, as a word of the command line."""
    return f"items={json.dumps([*range(times)])}"


class Pit(CommandLine):
    """A home, and a process that keeps its models once it was begun."""

    server: "subprocess.Popen[Any] | None" = None

    def serve(self, *words: str) -> "subprocess.Popen[Any]":
        """Begin it, and return once it owns the pool and has loaded what it should."""
        self.server = self.start("pit", "serve", *words)
        assert self.server.stderr is not None
        for _ in range(1 + words.count("--warm")):
            self.server.stderr.readline()
        return self.server

    def loaded(self) -> dict[str, int]:
        """The process of each model that is loaded, as `models status` tells."""
        found = self.json("models", "status")
        return {one["model"]: one["pid"] for one in found["models"] if one["phase"] == "hot"}


@pytest.fixture
def pit(tmp_path: Path) -> Iterator[Pit]:
    made = Pit(tmp_path)
    made.write("embed.yaml", EMBED)
    yield made
    if made.server is not None and made.server.poll() is None:
        made.server.kill()
        made.server.communicate()


def test_without_a_process_nothing_is_loaded_and_warming_says_what_to_start(pit: Pit) -> None:
    assert "no model is loaded" in pit.type("models", "status")[0]
    assert pit.json("models", "status") == {"owner": None, "processes": 0, "models": [], "circuits": []}
    whole = pit.json("pit", "status")
    assert whole["pool"] == {"owner": None, "processes": 0, "models": []}
    assert (whole["arbiter"], whole["budgets"]) == (None, [])
    assert whole["artifacts"] == {
        "artifacts": 0, "bytes": 0, "trashed": 0, "trashed_bytes": 0, "searchable": False,
        "stored": {}, "store": None, "outside": 0, "outside_bytes": 0, "unsent": 0, "unsent_bytes": 0,
    }  # fmt: skip
    assert whole["health"]["health"] == "healthy"
    assert whole["stale"]["grace_s"] == 7 * 86_400
    assert whole["runs"] == {"running": [], "left": 0}
    _, said = pit.type("models", "warm", "minilm", status=1)
    assert "pit-absent" in said
    assert "symphony pit serve" in said
    assert not (pit.home / "run").exists()


def test_a_model_that_is_kept_answers_runs_that_come_later(pit: Pit) -> None:
    server = pit.serve("--warm", "minilm")
    before = pit.loaded()
    assert list(before) == ["minilm"]
    assert pit.type("run", "embed.yaml", "--quiet", "--no-cache")[0].strip() == "number = 3"
    assert pit.loaded() == before
    owner = pit.json("models", "status")["owner"]
    assert owner == server.pid == psutil.Process(before["minilm"]).ppid()
    assert "minilm is cold" in pit.type("models", "unload", "minilm")[1]
    assert pit.loaded() == {}
    assert pit.json("models", "warm", "minilm")["phase"] == "hot"
    check = next(one for one in pit.json("doctor") if one["check"] == "pool")
    assert (check["verdict"], str(server.pid) in check["found"]) == ("ok", True)


def test_a_model_that_no_pool_could_load_is_refused_whether_or_not_one_is_there(pit: Pit) -> None:
    pit.home.mkdir()
    (pit.home / "config.toml").write_text(
        '[models.far]\nprovider = "openai"\nurl = "http://127.0.0.1:1/v1"\n'
    )
    for serves in (False, True):
        if serves:
            pit.serve()
        for verb in ("warm", "unload"):
            out, said = pit.type("models", verb, "mnilm", status=2)
            assert (out, "unknown-model" in said, "did you mean minilm?" in said) == ("", True, True)
            assert "far is a hosted model" in pit.type("models", verb, "far", status=1)[1]
            assert pit.json("models", verb, "mnilm", status=2)["errors"][0]["code"] == "unknown-model"


def test_ctrl_c_ends_the_wait_for_a_model_and_not_the_request(pit: Pit) -> None:
    pit.write("long.yaml", LONG)
    pit.write("texts.json", json.dumps(["word " * 4_000] * 32))
    pit.serve()
    run = pit.start("run", "long.yaml", "--quiet", "--no-cache", "--input-file", "texts=texts.json")

    def seen(key: str) -> Any:
        return next(one[key] for one in pit.json("models", "status")["models"] if one["model"] == "minilm")

    try:
        wait_until(lambda: seen("users"), run)
        unloading = pit.start("models", "unload", "minilm")
        wait_until(lambda: seen("draining"), unloading)
        unloading.send_signal(signal.SIGINT)
        ended = outcome(unloading)
        assert (ended.status, ended.out, ended.err) == (130, "", "interrupted\n")
        assert seen("draining")
    finally:
        run.kill()
        run.communicate()
    wait_until(lambda: seen("phase") == "cold")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_process_that_keeps_models_and_the_models(pit: Pit, number: int) -> None:
    server = pit.serve("--warm", "minilm")
    (model,) = pit.loaded().values()
    os.killpg(server.pid, number) if number == signal.SIGINT else server.send_signal(number)
    ended = outcome(server)
    assert (ended.status, "Traceback" in ended.err) == (0, False)
    assert not alive(model)


def test_the_process_that_keeps_models_takes_over_from_a_run_that_ends(pit: Pit) -> None:
    run = pit.start("run", "embed.yaml", "--quiet", "--no-cache", "-i", many(300))
    wait_until(lambda: pit.json("models", "status")["owner"] == run.pid, run)
    server = pit.serve()
    ended = outcome(run)
    assert (ended.status, ended.out.strip()) == (0, "number = 300")
    wait_until(lambda: pit.json("models", "status")["owner"] == server.pid, server)


async def test_three_runs_share_one_process_of_a_model_and_all_end_well_if_its_owner_is_killed(
    pit: Pit,
) -> None:
    words = ("run", "embed.yaml", "--quiet", "--no-cache", "-i", many(400))
    runs = [pit.start(*words) for _ in range(3)]
    seen: dict[str, Any] = {"owner": None, "processes": 0}
    async with asyncio.timeout(PATIENCE_S):
        while seen["processes"] < 2:
            seen = await asyncio.to_thread(pit.json, "models", "status")
    assert len([one for one in seen["models"] if one["pid"] is not None]) == 1
    killed = next(run for run in runs if run.pid == seen["owner"])
    killed.kill()
    killed.communicate()
    for run in runs:
        if run is not killed:
            ended = await asyncio.to_thread(outcome, run)
            assert (ended.status, ended.out.strip()) == (0, "number = 400"), ended
    label = pit.json("runs", "list")[0]["name"]
    interrupted = [one for one in pit.json("runs", "list") if one["status"] == "interrupted"]
    assert len(interrupted) == 1, label
    assert pit.type("runs", "resume", interrupted[0]["run_id"], "--quiet")[0].strip() == "number = 400"


FAILING = """
name: Failing
nodes:
  ask: {instrument: ill, inputs: {prompt: Hi}}
"""


def test_a_hosted_model_that_is_left_alone_is_shown(pit: Pit) -> None:
    settings = 'provider = "openai"\nurl = "http://127.0.0.1:1/v1"\nretries = 3\ncircuit_failures = 2\n'
    pit.home.mkdir()
    (pit.home / "config.toml").write_text(f"[models.ill]\n{settings}circuit_seconds = 50.0\n")
    pit.write("failing.yaml", FAILING)
    pit.serve()
    run = pit.start("run", "failing.yaml")

    def circuits() -> list[Any]:
        found: list[Any] = pit.json("models", "status")["circuits"]
        return found

    try:
        wait_until(circuits, run)
        (shown,) = circuits()
        assert (shown["model"], shown["after"], shown["pid"]) == ("ill", "open", run.pid)
        assert f"hosted model ill: process {run.pid} does not ask it" in pit.type("models", "status")[0]
    finally:
        run.kill()
        run.communicate()
    assert circuits() == []


def test_whoever_watches_the_pit_sees_what_happens_to_artifacts_and_runs(pit: Pit) -> None:
    pit.write("a.txt", "first")
    pit.write("waits.yaml", "name: W\nnodes: {asked: {control: approval, message: Well?}}\n")
    watching = pit.start("pit", "status", "--watch", "--json")
    assert watching.stdout is not None

    def seen(holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        assert watching.stdout is not None
        while True:
            line: dict[str, Any] = json.loads(watching.stdout.readline())
            if holds(line):
                return line

    try:
        assert set(seen(lambda _: True)) == {
            "pool", "circuits", "arbiter", "budgets", "artifacts", "stale", "runs",
        }  # fmt: skip
        pit.type("artifacts", "put", "a.txt", "--name", "report")
        assert seen(lambda line: line["artifacts"]["artifacts"] == 1)["artifacts"]["bytes"] == 5
        pit.call("run", "waits.yaml", "--quiet")
        seen(lambda line: line["runs"]["left"] == 1)
        run = pit.start("run", "embed.yaml", "--quiet", "--no-cache", "-i", many(300))
        going = seen(lambda line: bool(line["runs"]["running"]))["runs"]["running"][0]
        assert (going["name"], going["process"]) == ("embed-1", run.pid)
        seen(lambda line: line["pool"]["owner"] == run.pid)
        assert outcome(run).status == 0
        seen(lambda line: not line["runs"]["running"] and line["pool"]["owner"] is None)
    finally:
        watching.kill()
        watching.communicate()
