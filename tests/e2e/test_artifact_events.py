"""What happens to artifacts, on the bus of a home."""

import json
from pathlib import Path

import pytest
from tests.support.commands import CommandLine, outcome

pytestmark = pytest.mark.slow


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    made = CommandLine(tmp_path)
    made.write("a.txt", "first")
    made.write("b.txt", "second")
    return made


def test_events_of_short_commands_are_told_and_those_before_are_told_again(line: CommandLine) -> None:
    line.type("artifacts", "put", "a.txt", "--name", "report")
    tap = line.start("bus", "tap", "pit.artifacts.>", "--count", "3", "--json")
    assert tap.stdout is not None
    first = json.loads(tap.stdout.readline())
    assert (first["topic"], first["data"]["name"], first["data"]["version"]) == (
        "pit.artifacts.put", "report", 1,
    )  # fmt: skip
    line.type("artifacts", "put", "b.txt", "--name", "report")
    assert json.loads(tap.stdout.readline())["data"]["version"] == 2
    late = line.start("bus", "tap", "pit.artifacts.>", "--count", "2", "--json")
    told = [json.loads(one)["data"]["version"] for one in outcome(late).out.splitlines()]
    assert told == [1, 2]
    line.type("artifacts", "tag", "report@1", "best")
    last = json.loads(outcome(tap).out.splitlines()[-1])
    assert (last["topic"], last["data"]["tag"]) == ("pit.artifacts.tagged", "best")
