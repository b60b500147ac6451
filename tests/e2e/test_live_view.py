"""The live view of real runs on a pseudo-terminal: what stands where, and what is left when it is gone."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.commands import CommandLine
from tests.support.screens import Terminal
from tests.support.waiting import wait_until

from symphony.commons.widths import columns

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are Unix"),
]

NOISY = '''
import os, subprocess, time
from symphony.sdk import operator

@operator(name="my.noisy", version="1.0.0")
def noisy(seconds: float) -> str:
    """Prints past everything that catches prints."""
    os.write(2, b"raw \\x1b[31mred\\x1b[0m \\x1b]0;evil\\x07\\r\\n")
    subprocess.run(["sh", "-c", "echo from a child >&2"], check=True)
    os.write(2, b"10 %\\r50 %\\r100 %\\n")
    time.sleep(seconds)
    os.write(2, b"no newline at its end")
    return "done"
'''


STUBBORN = """
import time
from symphony.sdk import operator

@operator(name="my.stuck", version="1.0.0")
async def stuck() -> str:
    \"\"\"Will not be cancelled.\"\"\"
    import asyncio
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass
"""


def asking(*names: str, more: str = "") -> str:
    nodes = "\n".join(
        f"  {n}: {{control: approval, message: 'May {n} go on? 日本 🎉'}}\n"
        f"  after_{n}: {{after: [{n}], command: 'echo {n}'}}"
        for n in names
    )
    outputs = "".join(
        f"\n  {n}: '${{{{ {n}.approved }}}}'\n  why_{n}: '${{{{ {n}.comment }}}}'" for n in names
    )
    return f"name: Asks\nnodes:\n{nodes}\n{more}outputs:{outputs}\n"


Open = Callable[..., Terminal]


@pytest.fixture
def desk(tmp_path: Path) -> CommandLine:
    made = CommandLine(tmp_path)
    made.write("operators.py", NOISY)
    made.write("asks.yaml", asking("first"))
    return made


@pytest.fixture
def opened(desk: CommandLine) -> Iterator[Open]:
    terminals: list[Terminal] = []

    def open_(*words: str, width: int = 80, height: int = 24, **environment: str) -> Terminal:
        home = {"SYMPHONY_HOME": str(desk.home)} | environment
        line = (sys.executable, "-P", "-m", "symphony", *words)
        terminals.append(Terminal(line, cwd=desk.folder, width=width, height=height, **home))
        return terminals[-1]

    yield open_
    for terminal in terminals:
        terminal.close()


def prompted(terminal: Terminal, label: str = "y/n") -> None:
    """Wait until a question may be answered."""
    terminal.wait_for(label)


def sane(terminal: Terminal) -> bool:
    return terminal.screen.cursor


# ---- what is printed meanwhile


def test_what_others_print_stands_above_the_view_whole_and_safe(desk: CommandLine, opened: Open) -> None:
    desk.write(
        "noisy.yaml",
        "name: N\nnodes: {n: {operator: my.noisy, inputs: {seconds: 1.0}}}\n"
        "outputs: {o: '${{ n.result }}'}\n",
    )
    terminal = opened("run", "noisy.yaml", "--operators", "operators.py")
    terminal.wait_for("● n")
    lines = terminal.screen.all
    assert lines[:3] == ["raw red \\x1b]0;evil\\x07", "from a child", "100 %"]
    assert lines[3].startswith("N  ")
    assert terminal.leave() == 0
    after = terminal.screen.all
    assert after[3] == "no newline at its end"
    assert after[4] == "o = done"
    assert sane(terminal)


def test_quiet_prints_what_others_print_and_nothing_else_before_the_result(
    desk: CommandLine, opened: Open
) -> None:
    desk.write("noisy.yaml", "name: N\nnodes: {n: {operator: my.noisy, inputs: {seconds: 0.4}}}\n")
    desk.write("plain.py", NOISY.replace("\\x1b]0;evil\\x07", ""))
    terminal = opened("run", "noisy.yaml", "--operators", "plain.py", "--quiet")
    assert terminal.leave() == 0
    assert b"\x1b[?25l" not in terminal.seen
    assert b"from a child" in terminal.seen


# ---- fan-outs, tries, time


FAN = """\
name: Fan
nodes:
  numbers: {operator: data.range, inputs: {count: 40}}
  embed:
    for_each: numbers.result
    concurrency: 4
    command: "sleep 0.3"
"""


@pytest.mark.parametrize(("width", "height"), [(40, 12), (80, 24), (200, 50)])
def test_a_fan_out_shows_how_far_it_is_and_the_time_left(
    desk: CommandLine, opened: Open, width: int, height: int
) -> None:
    desk.write("fan.yaml", FAN)
    terminal = opened("run", "fan.yaml", width=width, height=height)
    terminal.wait_for("● embed ")
    terminal.wait_for(" left")
    row = next(line for line in terminal.screen.lines if "● embed " in line)
    assert "/40 " in row
    assert "━" in row
    assert "─" in row
    assert len(terminal.screen.lines) < height
    assert all(columns(line) < width for line in terminal.screen.lines)
    assert "numbers" not in terminal.screen.above


def test_a_retried_element_says_which_try_it_is(desk: CommandLine, opened: Open) -> None:
    desk.write(
        "tries.yaml",
        "name: T\nnodes:\n  t:\n    for_each: \"['a']\"\n    retry: {attempts: 3, initial: 10ms}\n"
        "    command: 'test -e tried && sleep 2; touch tried; false'\n    idempotent: true\n",
    )
    terminal = opened("run", "tries.yaml")
    terminal.wait_for("(try 2 of 3)")
    assert any("t[0] a (try 2 of 3)" in line for line in terminal.screen.lines)


def test_the_clock_counts_from_the_beginning_of_the_run(desk: CommandLine, opened: Open) -> None:
    desk.type("run", "asks.yaml", status=4)
    desk.write("slow.yaml", asking("first", more="  slow: {after: [first], command: 'sleep 2'}\n"))
    desk.type("run", "slow.yaml", status=4)
    desk.type("runs", "approve", "last", "first")
    terminal = opened("runs", "resume", "last")
    terminal.wait_for("● slow")
    took = next(line for line in terminal.screen.lines if line.startswith("run "))
    assert float(took.split()[-2]) > 0.4


# ---- resizing, colours, dumb terminals


def test_a_terminal_that_is_made_narrower_or_wider_is_left_without_remains(
    desk: CommandLine, opened: Open
) -> None:
    desk.write("fan.yaml", FAN)
    terminal = opened("run", "fan.yaml", width=100)
    terminal.wait_for("● embed ")
    for width, height in ((50, 24), (41, 10), (120, 30), (60, 12)):
        terminal.resize(width, height)
        done = next(line for line in terminal.screen.lines if "● embed " in line)
        terminal.wait_until_gone(done)
    assert terminal.leave() == 0
    text = "\n".join(terminal.screen.all)
    assert "● embed " not in text.partition("slowest")[0].replace("● embed ×", "")
    assert sane(terminal)


def test_no_color_has_a_view_without_colours(desk: CommandLine, opened: Open) -> None:
    terminal = opened("run", "asks.yaml", NO_COLOR="1")
    prompted(terminal)
    assert b"\x1b[33m" not in terminal.seen
    assert b"\x1b[1m" not in terminal.seen
    terminal.press("\r")
    assert terminal.leave() == 4


def test_a_terminal_without_unicode_gets_ascii(desk: CommandLine, opened: Open) -> None:
    desk.write("fan.yaml", FAN)
    terminal = opened("run", "fan.yaml", PYTHONIOENCODING="ascii")
    terminal.wait_for("* embed ")
    row = next(line for line in terminal.screen.lines if "* embed " in line)
    assert "=-" in row or "--" in row
    assert terminal.seen.isascii()


def test_a_dumb_terminal_is_asked_in_lines(desk: CommandLine, opened: Open) -> None:
    terminal = opened("run", "asks.yaml", TERM="dumb")
    terminal.wait_for("answer y or n")
    assert terminal.echoes()
    terminal.press("nonsense\r")
    terminal.wait_for("(begin with y")
    terminal.press("y fine\r")
    assert terminal.leave() == 0
    assert b"\x1b" not in terminal.seen
    assert "why_first = fine" in terminal.screen.all


# ---- approvals


@pytest.mark.parametrize("width", [40, 80, 200])
def test_an_approval_is_answered_where_the_run_is_watched(opened: Open, width: int) -> None:
    terminal = opened("run", "asks.yaml", width=width)
    prompted(terminal)
    assert not terminal.echoes()
    assert terminal.screen.cursor
    shown = " ".join(" ".join(terminal.screen.lines).split())
    assert "? first: May first go on? 日本 🎉" in shown
    assert "symphony runs approve" in shown
    assert all(columns(line) < width for line in terminal.screen.lines)
    terminal.press("perhaps\r")
    terminal.wait_for("begin with y or n")
    terminal.press("nox\x7f\x15y\x1b[A it is g日\x7food 🎉")
    terminal.wait_for("y it is good 🎉"[-16:])
    terminal.press("\r")
    assert terminal.leave() == 0
    assert terminal.screen.all[0] == "first: approved: it is good 🎉"
    assert "why_first = it is good 🎉" in terminal.screen.all
    assert sane(terminal)


@pytest.mark.parametrize("key", ["\r", "\x04", "  \r"])
def test_enter_or_the_end_of_input_leaves_it_waiting(opened: Open, desk: CommandLine, key: str) -> None:
    terminal = opened("run", "asks.yaml")
    prompted(terminal)
    terminal.press(key)
    assert terminal.leave() == 4
    assert any(line.startswith("waiting") for line in terminal.screen.all)
    assert desk.json("runs", "show", "last")["nodes"]["first"]["status"] == "waiting"


def test_several_are_answered_one_after_the_other_while_other_nodes_go_on(
    desk: CommandLine, opened: Open
) -> None:
    desk.write("many.yaml", asking("one", "two", "three", more="  slow: {command: 'sleep 0.5; echo s'}\n"))
    terminal = opened("run", "many.yaml")
    terminal.wait_for("one: y/n")
    terminal.press("y\r")
    terminal.wait_for("two: y/n")
    terminal.press("\r")
    terminal.wait_for("slow: succeeded")
    prompted(terminal)
    terminal.press("n not now\r")
    assert terminal.leave() == 4
    nodes = desk.json("runs", "show", "last")["nodes"]
    assert {name: nodes[name]["status"] for name in ("one", "two", "three", "slow", "after_one")} == {
        "one": "succeeded", "two": "waiting", "three": "succeeded", "slow": "succeeded",
        "after_one": "succeeded",
    }  # fmt: skip


def test_an_answer_from_another_process_ends_the_question(desk: CommandLine, opened: Open) -> None:
    terminal = opened("run", "asks.yaml")
    prompted(terminal)
    terminal.press("half an ans")
    desk.type("runs", "approve", "last", "first", "--comment", "from elsewhere")
    assert terminal.leave() == 0
    assert "first: no answer is needed any more" in terminal.screen.all
    assert "why_first = from elsewhere" in terminal.screen.all


def test_a_timeout_ends_the_question(desk: CommandLine, opened: Open) -> None:
    desk.write(
        "late.yaml",
        "name: L\nnodes: {a: {control: approval, message: Quick, timeout: 2s, on_timeout: reject}}\n"
        "outputs: {a: '${{ a.approved }}'}\n",
    )
    terminal = opened("run", "late.yaml")
    prompted(terminal)
    terminal.wait_for("an answer counts for")
    assert terminal.leave() == 0
    assert "a = false" in terminal.screen.all


def test_ctrl_c_at_the_question_leaves_the_terminal_as_it_was(desk: CommandLine, opened: Open) -> None:
    terminal = opened("run", "asks.yaml")
    prompted(terminal)
    terminal.press("y half\x03")
    terminal.wait_for("run ")
    assert terminal.leave() == 130
    assert sane(terminal)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_at_the_question_leaves_the_terminal_as_it_was(
    opened: Open, number: int, status: int
) -> None:
    terminal = opened("run", "asks.yaml")
    prompted(terminal)
    terminal.press("y half")
    terminal.wait_for("y half")
    os.kill(terminal.pid, number)
    terminal.read_to_end()
    assert terminal.echoes()
    assert terminal.leave() == status
    assert sane(terminal)


def test_the_second_ctrl_c_at_the_question_leaves_the_terminal_as_it_was(
    desk: CommandLine, opened: Open
) -> None:
    desk.write("operators.py", STUBBORN)
    desk.write("stuck.yaml", asking("first", more="  stuck: {operator: my.stuck}\n"))
    terminal = opened("run", "stuck.yaml", "--operators", "operators.py")
    prompted(terminal)
    terminal.press("\x03")
    terminal.wait_for("again to stop at once")
    terminal.press("\x03")
    terminal.read_to_end()
    assert terminal.echoes()
    assert terminal.leave() == 130
    assert sane(terminal)
    assert any("killed" in line for line in terminal.screen.all)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells that a process is stopped")
def test_ctrl_z_gives_the_terminal_back_until_the_run_goes_on(opened: Open) -> None:
    terminal = opened("run", "asks.yaml")
    prompted(terminal)
    terminal.press("y ab")
    terminal.wait_for("y ab")
    terminal.press("\x1a")
    stat = Path(f"/proc/{terminal.pid}/stat")
    wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
    assert terminal.echoes()
    os.kill(terminal.pid, signal.SIGCONT)
    wait_until(lambda: not terminal.echoes())
    terminal.press("cd\r")
    assert terminal.leave() == 0
    assert "why_first = abcd" in terminal.screen.all


def test_the_terminal_is_as_it_was_after_every_question(desk: CommandLine, opened: Open) -> None:
    for keys, status in (("y\r", 0), ("\r", 4), ("\x04", 4), ("\x03", 130)):
        line = f"trap : INT; {sys.executable} -P -m symphony run asks.yaml; echo status $?"
        line += "; stty -a | tr -s ' ;' '\\n\\n'"
        terminal = Terminal(
            ("/bin/sh", "-c", f"{line}; read rest"), cwd=desk.folder, SYMPHONY_HOME=str(desk.home)
        )
        try:
            prompted(terminal)
            terminal.press(keys)
            terminal.wait_for(f"status {status}")
            terminal.wait_for("echoke")
            words = [word for line in terminal.screen.all for word in line.split()]
            assert "echo" in words
            assert "icanon" in words
        finally:
            terminal.close()


def test_a_run_in_the_background_asks_nothing_and_is_not_held(desk: CommandLine) -> None:
    line = f"set -m; {sys.executable} -P -m symphony run asks.yaml & wait $!; echo status $?"
    terminal = Terminal(("/bin/bash", "-c", line), cwd=desk.folder, SYMPHONY_HOME=str(desk.home))
    try:
        terminal.wait_for("status 4")
        assert b"y/n" not in terminal.seen
    finally:
        terminal.close()


def test_where_nobody_can_answer_nothing_is_asked(desk: CommandLine, opened: Open) -> None:
    for words in (("--json",), ("--quiet",)):
        terminal = opened("run", "asks.yaml", *words)
        assert terminal.leave() == 4
        assert b"y/n" not in terminal.seen
    shell = Terminal(
        ("/bin/sh", "-c", f"{sys.executable} -P -m symphony run asks.yaml </dev/null"),
        cwd=desk.folder, SYMPHONY_HOME=str(desk.home),
    )  # fmt: skip
    assert shell.leave() == 4
    assert b"y/n" not in shell.seen
