"""What a command is given, and how its output is told: without starting any."""

from typing import Any

import pytest

from symphony.kit.command import child_environment, ended_badly, lines_to
from symphony.kit.errors import CommandNotStarted
from symphony.kit.processes import ProcessResult


def test_inputs_become_variables(run: Any) -> None:
    given = {"a-b": "x $(y)", "n": 3, "l": [1, None, {"k": b"\xff"}], "Flag": True}
    variables = child_environment(given, run.context())
    assert variables["A_B"] == "x $(y)"
    assert variables["N"] == "3"
    assert variables["L"] == '[1,null,{"k":{"$bytes":"/w=="}}]'
    assert variables["FLAG"] == "true"
    assert (variables["SYMPHONY_RUN_ID"], variables["SYMPHONY_NODE"]) == ("run-1", "node")
    assert "PATH" in variables


@pytest.mark.parametrize("inputs", [{"a-b": "1", "A_B": "2"}, {"": "x"}, {"a=b": "x"}, {"a": "x\0y"}])
def test_what_no_environment_can_hold_is_refused(run: Any, inputs: dict[str, Any]) -> None:
    with pytest.raises(CommandNotStarted):
        child_environment(inputs, run.context())


def told(*chunks: bytes) -> list[str]:
    lines: list[str] = []
    take = lines_to(lambda text, stream: lines.append(text), "stdout")
    for chunk in (*chunks, b""):
        take(chunk)
    return lines


def test_output_is_told_in_whole_lines() -> None:
    assert told(b"one\ntw", b"o\n", b"\nend") == ["one", "two", "", "end"]
    assert told(b"a\nb\nc\n") == ["a\nb\nc"]
    assert told() == []


def test_letters_are_not_cut_and_bad_bytes_are_replaced() -> None:
    assert told("é".encode()[:1], "é".encode()[1:] + b"\n\xff\n") == ["é\n\ufffd"]


def test_an_endless_line_is_told_in_pieces() -> None:
    assert [len(text) for text in told(b"x" * 70_000, b"y" * 10)] == [70_000, 10]


@pytest.mark.parametrize(
    ("exit_code", "stderr", "message"),
    [
        (3, b"\x1b[1;31merror\x1b[0m: bad\r\n", "the command exited with 3: error: bad"),
        (1, b"10%\r90%\rdisk full\n\x1b[0m\n\x1b[?25h", "the command exited with 1: disk full"),
        (1, b"\x1b[0m\n", "the command exited with 1"),
        (-9, b"", "the command was killed by signal 9 (SIGKILL)"),
        (-60, b"late\n", "the command was killed by signal 60: late"),
    ],
)
def test_a_commands_error_ends_with_the_last_line_that_can_be_read(
    exit_code: int, stderr: bytes, message: str
) -> None:
    failed = ended_badly(ProcessResult(exit_code, b"", stderr))
    assert failed.message == message
    assert failed.details["stderr"] == stderr.decode()
