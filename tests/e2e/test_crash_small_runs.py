"""A session of many small runs that is killed: each run is taken over alone, and nothing is done twice."""

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from tests.support.effects import effects

from symphony import operator
from symphony.app import Symphony, journals
from symphony.pit.artifacts.values.codec import decode_sealed
from symphony.pit.tracker.store import segments
from symphony.ports.runs import RunStatus
from symphony.workflow import loads

pytestmark = pytest.mark.slow

RUNS, STEPS = 12, 5
PATIENCE_S = 120.0
SEED = int(os.environ.get("SYMPHONY_CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
FINISHED = ("succeeded", "cached", "skipped")
TEXT = (
    "{name: w, inputs: {who: {type: string}, file: {type: path}}, nodes: {"
    + ", ".join(
        f"s{number}: {{operator: crash.mark, inputs: {{file: '${{{{ inputs.file }}}}', "
        f"line: '${{{{ inputs.who }}}} s{number}'}}" + (f", after: [s{number - 1}]}}" if number else "}")
        for number in range(STEPS)
    )
    + "}}"
)


@operator("crash.mark", version="1.0.0", idempotent=True)
async def mark(file: Path, line: str) -> str:
    """Leave a line."""
    with file.open("a", encoding="utf-8") as out:
        out.write(f"{line}\n")
    await asyncio.sleep(0.005)
    return line


async def session(home: Path, file: Path) -> None:
    """What is killed."""
    journals.OWN_FILES = 0  # type: ignore[misc]  # every run goes into a segment
    async with Symphony.open(home, operators=[mark]) as symphony:
        what = loads(TEXT.encode(), "yaml")

        async def one(number: int) -> None:
            handle = await symphony.start(what, {"who": f"r{number}", "file": str(file)})
            print(handle.run_id, f"r{number}", flush=True)
            await handle.result()

        await asyncio.gather(*map(one, range(RUNS)))


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
async def test_every_run_of_a_killed_session_ends_as_if_never_killed(tmp_path: Path, share: float) -> None:
    home, file = tmp_path / "home", tmp_path / "lines"
    rng = random.Random(SEED)
    after = max(1, round(RUNS * STEPS * share * rng.uniform(0.7, 1.0)))
    known, killed = await asyncio.to_thread(kill_after, after, home, file)
    async with Symphony.open(home, operators=[mark]) as symphony:
        ids = symphony.runs.ids()
        assert set(known) <= set(ids), f"seed {SEED}"  # what was told is durable
        for run_id in ids:
            shown = symphony.runs.result(run_id)
            assert shown.status in (RunStatus.INTERRUPTED, RunStatus.SUCCEEDED), f"seed {SEED}"
            result = await (await symphony.resume(run_id)).result()
            assert result.status is RunStatus.SUCCEEDED, f"seed {SEED}"
            inputs = decode_sealed(symphony.runs.meta(run_id).inputs)
            assert isinstance(inputs, dict)
            name = inputs["who"]
            for node, one in shown.nodes.items():
                if one.status in FINISHED:  # it did not run again
                    assert effects(file)[f"{name} {node}"] == killed[f"{name} {node}"], f"seed {SEED}"
        assert all(symphony.runs.status(run_id) is RunStatus.SUCCEEDED for run_id in ids)
    for name in known.values():
        for number in range(STEPS):
            assert effects(file)[f"{name} s{number}"] in (1, 2), f"seed {SEED}"


def kill_after(count: int, home: Path, file: Path) -> tuple[dict[str, str], Counter[str]]:
    """Kill a session once it has left so many lines; the runs that it told of, and the lines."""
    call = f"session(Path({str(home)!r}), Path({str(file)!r}))"
    script = f"import asyncio; from pathlib import Path; from {__name__} import session; asyncio.run({call})"
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), *sys.path))},
    )
    pause = threading.Event()
    for _ in range(round(PATIENCE_S / 0.002)):
        if effects(file).total() >= count or process.poll() is not None:
            break
        pause.wait(0.002)
    process.send_signal(signal.SIGKILL)
    said = process.communicate(timeout=PATIENCE_S)[0]
    assert segments.segments(home / "journal")
    told = (line.partition(" ")[::2] for line in said.splitlines(keepends=True) if line.endswith("\n"))
    return {run_id: name.strip() for run_id, name in told}, effects(file)
