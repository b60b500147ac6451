"""Waits that end after the year 9999, and clocks that are beyond it: every view still shows the run."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults.conftest import Fault
from tests.support.waiting import wait_until

from symphony.app import Symphony
from symphony.pit.tracker.core.records import AskedRecord, BegunRecord, ParkedRecord, Record
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.core.structure import plan_of
from symphony.ports.runs import RunStatus
from symphony.testing import FakeClock
from symphony.workflow import loads
from symphony.workflow.compiled import Compiled

FAR = "999999999999d"
WAITS = {
    "approval": f"{{control: approval, message: 'ok?', timeout: {FAR}, on_timeout: approve}}",
    "delay": f"{{control: delay, for: {FAR}}}",
    "until": "{control: delay, until: \"${{ timestamp('9999-12-31T23:59:59Z') }}\"}",
    "retry": "{operator: debug.fail, retry: {attempts: 3, initial: FAR, max: FAR}}".replace("FAR", FAR),
    "sleep": f"{{operator: debug.sleep, inputs: {{duration: {FAR}}}, timeout: {FAR}}}",
    "command": f"{{command: sleep 600, timeout: {FAR}}}",
    "worker": f"{{operator: python.call, inputs: {{file: f.py, function: wait}}, timeout: {FAR}}}",
    "loop": "{control: loop, state: {x: 1}, body: {s: {command: sleep 600}}, next: {x: '1'}, until: 'true', "
    f"max_iterations: 1, timeout: {FAR}}}",
}


@pytest.mark.slow
@pytest.mark.parametrize("wait", WAITS)
def test_a_run_that_waits_beyond_the_calendar_is_shown_cancelled_and_listed(
    fault: Callable[[str], Fault], wait: str
) -> None:
    case = fault("far-moment-breaks-views")
    (case.folder / "f.py").write_text("import time\ndef wait():\n    time.sleep(600)\n")
    (case.folder / "flow.yaml").write_text(f"name: Far\nnodes:\n  gate: {WAITS[wait]}\n")
    process = case.start("run", "flow.yaml")
    wait_until(lambda: "node." in case.symphony("runs", "events", "last").stdout, process)
    shown = case.symphony("runs", "show", "last", "--json")
    assert shown.returncode == 0, shown.stderr
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "internal" not in err
    for view in ("show", "events", "logs"):
        done = case.symphony("runs", view, "last")
        assert done.returncode == 0, done.stderr
    listed = case.symphony("runs", "list").stdout
    # An approval that has been asked waits, whoever stops the process meanwhile.
    assert "interrupted" in listed or (wait == "approval" and "waiting" in listed)
    assert case.symphony("runs", "cancel", "last").returncode == 0
    assert "cancelled" in case.symphony("runs", "list").stdout


@pytest.mark.parametrize("record", [ParkedRecord(0, 1.0, 8.64e16), AskedRecord(0, 1.0, "ok?", 8.64e16)])
def test_a_far_moment_that_was_recorded_before_is_shown(record: Record) -> None:
    text = "name: Far\nnodes: {gate: {control: approval, message: 'ok?'}}\n"
    replay = RunReplay(plan_of(loads(text, "yaml"), None, Compiled), limit=1)
    replay.apply(BegunRecord(0, 1.0, 1))
    replay.apply(record)
    assert replay.event(record, 1).data["until"] == "9999-12-31T23:59:59.000Z"
    assert replay.result("r", RunStatus.WAITING, {}).nodes["gate"].until == "9999-12-31T23:59:59.000Z"


@pytest.mark.parametrize("start_s", [1e15, 253_402_300_790.0, -1e12, -62_135_596_790.0])
async def test_a_run_under_a_clock_that_is_beyond_the_calendar_succeeds_and_is_shown(
    start_s: float, tmp_path: Path
) -> None:
    text = (
        "name: Clock\nnodes:\n  a: {control: delay, for: 1h}\n"
        "  b: {operator: debug.value, inputs: {value: '${{ run.started_at }}'}, after: [a]}\n"
        "outputs: {at: '${{ b.result }}'}\n"
    )
    async with Symphony.open(tmp_path / "home", clock=FakeClock(start_s)) as symphony:
        handle = await symphony.start(loads(text, "yaml"))
        result = await handle.result()
        assert result.status is RunStatus.SUCCEEDED
        assert len(str(result.outputs["at"])) == len("2026-01-31T12:00:00.000Z")
        assert [event.type for event in symphony.runs.events(handle.run_id)][-1] == "run.finished"
        assert symphony.runs.list()[0].run_id == handle.run_id
        assert symphony.runs.result(handle.run_id).nodes["a"].finished_at is not None
