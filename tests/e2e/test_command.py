"""Real shell commands: what they give, and that nothing of them is left behind."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.support.fakes import Printed
from tests.support.processes import LARGE, group_at_work
from tests.support.waiting import PATIENCE_S

from symphony.kit import processes
from symphony.kit.command import command
from symphony.kit.errors import CommandFailed, CommandNotStarted, OutputTooLarge
from symphony.sdk import Context

# ruff: noqa: ASYNC240  (the tests look at small files while nothing else runs)

pytestmark = pytest.mark.slow


@pytest.fixture
def log() -> Printed:
    return Printed()


@pytest.fixture
def context(tmp_path: Path, log: Printed) -> Context:
    return Context(
        run_id=tmp_path.name,
        node="n",
        attempt=1,
        cwd=tmp_path,
        base=tmp_path,
        log=log,
        cancelled=lambda: False,
    )


async def test_output_is_kept_and_shown_while_it_comes(context: Context, log: Printed) -> None:
    result = await command("echo one; echo two >&2; printf 'é\\n\\377'", context)
    assert result == {"stdout": "one\né\n\ufffd", "stderr": "two\n", "exit_code": 0}
    assert ("stderr", "two") in log.lines
    assert [text for stream, text in log.lines if stream == "stdout"] == ["one", "é", "\ufffd"]


async def test_it_runs_in_the_callers_folder_with_its_variables(context: Context, tmp_path: Path) -> None:
    result = await command('pwd -P; echo "$A_B $SYMPHONY_RUN_ID $SYMPHONY_NODE"; cat', context, {"a-b": [1]})
    assert result["stdout"] == f"{tmp_path.resolve()}\n[1] {tmp_path.name} n\n"


async def test_another_status_than_0_fails(context: Context) -> None:
    with pytest.raises(CommandFailed, match="exited with 3: what went wrong") as caught:
        await command("echo first >&2; echo what went wrong >&2; exit 3", context)
    assert caught.value.code == "command-failed"
    assert caught.value.details == {"exit_code": 3, "stderr": "first\nwhat went wrong\n"}
    with pytest.raises(CommandFailed, match="signal 9"):
        await command("kill -9 $$", context)


async def test_output_without_end_is_refused(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "OUTPUT_BYTES_MAX", 1)
    with pytest.raises(OutputTooLarge, match="stdout exceeds 1 MiB"):
        await processes.run_process(
            ("/bin/sh", "-c", "yes"), cwd=context.cwd, env=dict(os.environ), output_bytes_max=1024 * 1024
        )


async def test_what_cannot_be_started_says_why(context: Context, tmp_path: Path) -> None:
    with pytest.raises(CommandNotStarted, match="null"):
        await command("echo \0", context)
    with pytest.raises(CommandNotStarted, match="Argument list too long") as caught:
        await command("true", context, {"big": "x" * 300_000})
    assert "fs.write" in str(caught.value.hint)
    tmp_path.rmdir()
    with pytest.raises(CommandNotStarted, match="is not there"):
        await command("true", context)


async def test_what_it_leaves_running_is_ended_with_it(context: Context) -> None:
    result = await command("sleep 600 & echo $$", context)
    assert not group_at_work(int(result["stdout"]))


async def test_a_process_that_left_the_group_does_not_hold_up_the_node(context: Context) -> None:
    async with asyncio.timeout(PATIENCE_S):
        result = await command("setsid sleep 600 & echo $!", context)
    await _gone(int(result["stdout"]))


async def _gone(process: int) -> None:
    """End the one that got away; it is nobody else's."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if process in (int(stat.parent.name), int(fields[3])):
            os.kill(int(stat.parent.name), signal.SIGKILL)


async def _cancelled(
    context: Context, log: Printed, text: str, end: Callable[[asyncio.Task[object]], Awaitable[None]]
) -> int:
    """Run a command that prints `group N`, end it with `end`, and return its group."""
    running = asyncio.get_running_loop().create_task(command(text, context))
    group = int((await log.until("group ")).split()[1])
    assert group_at_work(group)
    await end(running)
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(PATIENCE_S):
            await running
    return group


async def test_cancelling_ends_the_whole_group(context: Context, log: Printed, tmp_path: Path) -> None:
    async def end(running: asyncio.Task[object]) -> None:
        running.cancel()

    text = "trap 'touch told; exit' TERM; sleep 600 & echo group $$; wait"
    assert not group_at_work(await _cancelled(context, log, text, end))
    assert (tmp_path / "told").exists(), "it was asked first"


async def test_who_does_not_listen_is_killed(
    context: Context, log: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "GRACE_S", 0.1)

    async def end(running: asyncio.Task[object]) -> None:
        running.cancel()

    text = "trap '' TERM; echo group $$; while :; do sleep 0.01; done"
    assert not group_at_work(await _cancelled(context, log, text, end))


async def test_a_killed_one_that_takes_long_to_end_is_waited_for(
    context: Context, log: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One with much memory: the system takes that back before the process is gone."""
    monkeypatch.setattr(processes, "GRACE_S", 0.0)

    async def end(running: asyncio.Task[object]) -> None:
        running.cancel()

    assert not group_at_work(await _cancelled(context, log, f"{LARGE}; wait", end))


async def test_cancelling_again_and_again_leaves_nothing_behind(context: Context, log: Printed) -> None:
    async def end(running: asyncio.Task[object]) -> None:
        while not running.done():
            running.cancel()
            await asyncio.sleep(0)

    text = "trap '' TERM; (trap '' TERM; sleep 600) & echo group $$; while :; do sleep 0.01; done"
    before = asyncio.all_tasks()
    group = await _cancelled(context, log, text, end)
    assert not group_at_work(group)
    assert asyncio.all_tasks() == before


async def test_a_timeout_is_a_cancellation(context: Context) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await command("sleep 600", context)


async def test_commands_leave_no_open_files(context: Context) -> None:
    await command("true", context)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        await command("echo x", context)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
