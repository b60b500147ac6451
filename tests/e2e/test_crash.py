"""Runs killed or stopped at random moments, resumed, and killed again: nothing is lost nor done twice.

Half of the processes are killed; the others get a signal that they heed, some a second one soon after.
`SYMPHONY_CRASH_KILLS` says how many kills (50), `SYMPHONY_CRASH_AT_ONCE` in how many runs at a time (2),
`SYMPHONY_CRASH_SEED` repeats the moments of a failure.
Every node leaves a line with its own name in a file outside the home; the lines are the effects.
"""

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.commands import CommandLine, kill, statuses
from tests.support.effects import effects
from tests.support.waiting import Stopwatch, wait_until

from symphony import Symphony
from symphony.pit.tracker.store.journal import JournalFailed
from symphony.ports.runs import RunResult

pytestmark = pytest.mark.slow

AT_ONCE = int(os.environ.get("SYMPHONY_CRASH_AT_ONCE", "2"))
KILLS = int(os.environ.get("SYMPHONY_CRASH_KILLS", "50"))
SEED = int(os.environ.get("SYMPHONY_CRASH_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
PATIENCE_S = 180.0
STAGES = 4
WINDOW_S = 0.35
"""Within which a process is killed, while the run moves on; it grows while it does not."""
TOLD_S = 2.0
"""Within which others see that a run was killed."""
HEEDED = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
FINISHED = ("succeeded", "cached", "skipped")

OPERATORS = """\
import time

from symphony import operator


@operator("crash.square", version="1.0.0", pure=True)
def square(number: int, name: str, file: str) -> int:
    \"\"\"The square, after a while, in a thread.\"\"\"
    with open(file, "a", encoding="utf-8") as out:
        out.write(f"{name}\\\\n")
    time.sleep(0.02)
    return number * number


@operator("crash.work", version="1.0.0", pure=True, cpu=True)
def work(number: int, name: str, file: str) -> int:
    \"\"\"The same, in a process.\"\"\"
    return square.original(number, name, file)


@operator("crash.total", version="1.0.0", pure=True)
async def total(numbers: list[int], texts: list[str]) -> int:
    \"\"\"A sum, on the loop.\"\"\"
    return (sum(numbers) + sum(map(len, texts))) % 1_000
""".replace("\\\\n", "\\n")

STAGE = """\
  numbers_K: {operator: data.flatten, inputs: {items: [[1, 2, 3], ["${{ BEFORE }}"]]}}
  squares_K:
    for_each: numbers_K.result
    concurrency: 2
    operator: crash.square
    inputs: {number: "${{ item }}", name: "squares_K[${{ index }}]", file: "${{ inputs.file }}"}
  again_K:
    command: sleep 0.01; echo again_K >> "$FILE"; sleep 0.02; printf %s "$SQUARES"
    idempotent: true
    inputs: {file: "${{ inputs.file }}", squares: "${{ squares_K.result }}"}
  once_K:
    command: sleep 0.02; echo once_K >> "$FILE"; sleep 0.03
    inputs: {file: "${{ inputs.file }}", numbers: "${{ numbers_K.result }}"}
  each_K:
    for_each: numbers_K.result
    concurrency: 2
    command: sleep 0.01; echo "each_K[$N]" >> "$FILE"; sleep 0.01
    inputs: {file: "${{ inputs.file }}", n: "${{ index }}"}
    after: [again_K]
  worked_K:
    operator: crash.work
    inputs: {number: "${{ size(squares_K.result) }}", name: worked_K, file: "${{ inputs.file }}"}
  turns_K:
    control: loop
    state: {sum: 0}
    body:
      turn:
        command: sleep 0.01; echo "turns_K#$I.turn" >> "$FILE"
        inputs: {file: "${{ inputs.file }}", i: "${{ iteration }}", after: "${{ size(numbers_K.result) }}"}
    next: {sum: state.sum + iteration}
    until: iteration == 2
    max_iterations: 5
  total_K:
    operator: crash.total
    inputs:
      numbers: "${{ squares_K.result }}"
      texts: ["${{ again_K.stdout }}", "${{ string(worked_K.result + turns_K.sum) }}"]
    after: [once_K, each_K]
    join: any
"""


def workflow(stages: int) -> str:
    """Stages one after the other, each with every kind of work: inline, thread, worker, command, loop."""
    parts = ["symphony: 1\nname: Crash\ninputs:\n  file: {type: string}\nnodes:\n"]
    for k in range(stages):
        before = f"total_{k - 1}.result" if k else "7"
        parts.append(STAGE.replace("K", str(k)).replace("BEFORE", before))
    names = [f"{kind}_{k}.{port}" for k in range(stages) for kind, port in (("total", "result"),)]
    names += [f"squares_{k}.result" for k in range(stages)] + [f"again_{k}.stdout" for k in range(stages)]
    outputs = (f'{name.partition(".")[0]}: "${{{{ {name} }}}}"' for name in names)
    return "".join(parts) + "outputs: {" + ", ".join(outputs) + "}\n"


class Place(CommandLine):
    """One home with one run in it, and the file where its effects show."""

    def __init__(self, folder: Path, stages: int = STAGES) -> None:
        folder.mkdir()
        super().__init__(folder)
        self.effects = folder / "effects.txt"
        self.write("ops.py", OPERATORS)
        self.write("crash.yaml", workflow(stages))

    def run(self) -> "subprocess.Popen[bytes]":
        return self.begin("run", "crash.yaml", "--operators", "ops.py", "--input", f"file={self.effects}")

    def resume(self, *decisions: str) -> "subprocess.Popen[bytes]":
        return self.begin("runs", "resume", self.run_id() or "none", *decisions)

    def begin(self, *words: str) -> "subprocess.Popen[bytes]":
        """A command whose output may be cut anywhere."""
        return self.start(*words, "--json", text=False)

    def run_id(self) -> str | None:
        return next((path.stem for path in (self.home / "journal").glob("*.db")), None)

    def owner(self) -> int:
        """The process that last took the run."""
        for path in (self.home / "run").glob("*.lock"):
            return int(path.read_text() or 0)
        return 0

    def counts(self) -> Counter[str]:
        return effects(self.effects)


def ended(process: "subprocess.Popen[bytes]", *statuses: int) -> "dict[str, object]":
    """The JSON that a process printed, which must end with one of `statuses`."""
    out, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode in statuses, (process.args, process.returncode, out[-2000:], err[-4000:])
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


class Kills:
    """How many are left to all runs together."""

    def __init__(self, left: int) -> None:
        self.left, self.made, self._lock = left, 0, threading.Lock()

    def take(self) -> bool:
        with self._lock:
            self.left -= 1
            return self.left >= 0

    def give_back(self) -> None:
        with self._lock:
            self.left += 1


def killed_at_random(
    place: Place, process: "subprocess.Popen[bytes]", moment: random.Random, window_s: float
) -> bool:
    """Kill the process within `window_s` of its start or its work; False if it ended before that."""
    until = time.monotonic() + PATIENCE_S
    wait_s = moment.uniform(0.0, window_s)
    if moment.random() >= 0.15:
        while place.owner() != process.pid and process.poll() is None and time.monotonic() < until:
            time.sleep(0.005)
    try:
        process.wait(wait_s)
    except subprocess.TimeoutExpired:
        number = moment.choice([signal.SIGKILL] * 3 + HEEDED)
        if number == signal.SIGKILL:
            kill(process)
        else:
            stop(process, number, moment)
        return True
    return False


def stop(process: "subprocess.Popen[bytes]", number: int, moment: random.Random) -> None:
    """Send a signal, and at times another while what runs is being ended."""
    process.send_signal(number)
    if moment.random() < 0.25:
        try:
            process.wait(moment.uniform(0.0, 0.1))
        except subprocess.TimeoutExpired:
            process.send_signal(moment.choice(HEEDED))
    _, err = process.communicate(timeout=PATIENCE_S)
    # It may have ended by itself, or not have begun to heed signals.
    assert process.returncode in (0, 4, *(128 + one for one in HEEDED), *(-one for one in HEEDED)), err[
        -4000:
    ].decode("utf-8", "replace")
    assert b"Traceback" not in err or process.returncode == -number, err[-4000:].decode("utf-8", "replace")


class Story:
    """One run from its start to its end, whatever happens to its processes."""

    def __init__(self, place: Place, kills: Kills, moment: random.Random) -> None:
        self.place, self.kills, self.moment = place, kills, moment
        self.known: dict[str, int] = {}  # effects of nodes that were finished at some kill
        self.decided: Counter[str] = Counter()
        self.window_s = WINDOW_S

    def tell(self) -> "dict[str, object]":
        process = self.place.run()
        while True:
            if self.kills.take():
                before = self.place.counts()
                if killed_at_random(self.place, process, self.moment, self.window_s):
                    # On a busy machine a process may need longer than that to do anything at all.
                    moved = self.place.counts() != before
                    self.window_s = max(WINDOW_S, self.window_s / 1.5) if moved else self.window_s * 1.2
                    process = self._after_kill()
                    continue
                self.kills.give_back()
            result = ended(process, 0, 4)
            if process.returncode == 0:
                return result
            process = self.place.resume(*self._decisions(result))

    def _shown(self) -> RunResult:
        """As it stands; a child that is just being started holds its dead parent's lock for a moment."""
        runs, until = Symphony.open(self.place.home).runs, time.monotonic() + PATIENCE_S
        while True:
            shown = runs.result(self.place.run_id() or "")
            if shown.status != "running" or time.monotonic() > until:
                return shown
            time.sleep(0.005)

    def _after_kill(self) -> "subprocess.Popen[bytes]":
        counts = self.place.counts()
        if self.place.run_id() is None:
            assert not counts
            return self.place.run()
        try:
            shown = self._shown()
        except JournalFailed as error:  # killed while the journal was made
            assert not counts, error
            (self.place.home / "journal" / f"{self.place.run_id()}.db").unlink()
            return self.place.run()
        assert shown.status in ("interrupted", "waiting", "succeeded"), shown.status
        for name, node in shown.nodes.items():
            if node.status in FINISHED:
                assert self.known.setdefault(name, counts[name]) == counts[name], f"{name} ran again"
        return self.place.resume()

    def _decisions(self, result: "dict[str, object]") -> list[str]:
        """As a person would: look whether the effect is there."""
        assert result["status"] == "waiting", result
        counts, words = self.place.counts(), []
        for name, status in statuses(result).items():
            whole = name.startswith(("each", "turns")) and "[" not in name and "#" not in name
            if status == "waiting" and not whole:
                decision = "--skip" if counts[name] else "--retry"
                self.decided[decision] += 1
                words += [decision, name]
        assert words, result
        return words

    def check(self, result: "dict[str, object]", expected: object) -> None:
        assert result["status"] == "succeeded"
        assert result["outputs"] == expected
        counts = self.place.counts()
        for name, status in statuses(result).items():
            part = "[" in name or "#" in name
            if name.startswith("once_") or (name.startswith(("each_", "turns_")) and part):
                assert counts[name] == 1, f"{name}: {counts[name]} times, {status}"
            elif name.startswith(("again_", "worked_")) or (name.startswith("squares_") and part):
                assert counts[name] >= 1, f"{name} never ran"
        for name, count in self.known.items():
            assert counts[name] == count, f"{name} had finished, and ran again"


def test_killed_runs_end_as_if_never_killed_with_every_effect_once(tmp_path: Path) -> None:
    began = time.monotonic()
    expected = ended(Place(tmp_path / "calm").run(), 0)["outputs"]
    kills = Kills(KILLS)
    stories: list[Story] = []

    def worker(number: int) -> None:
        moment, turn = random.Random(f"{SEED}-{number}"), 0
        while kills.left > 0:
            turn += 1
            story = Story(Place(tmp_path / f"run-{number}-{turn}"), kills, moment)
            stories.append(story)
            story.check(story.tell(), expected)
            print(f"{len(stories)} runs begun, {KILLS - max(kills.left, 0)} of {KILLS} kills", flush=True)

    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for one in [pool.submit(worker, number) for number in range(AT_ONCE)]:
                one.result()
    except BaseException:
        kills.left = 0
        print(f"\nrepeat with SYMPHONY_CRASH_SEED={SEED}")
        raise
    took_s = time.monotonic() - began
    decided = sum((story.decided for story in stories), Counter[str]())
    print(f"\n{KILLS} kills in {len(stories)} runs, decisions {dict(decided)}, {took_s:.1f} s, seed {SEED}")


def begun(place: Place) -> None:
    """A run that was killed after its first effect."""
    process = place.run()
    wait_until(place.counts, process)
    kill(process)


def test_a_killed_run_is_listed_as_interrupted_within_two_seconds(tmp_path: Path) -> None:
    place = Place(tmp_path / "place")
    runs = Symphony.open(place.home).runs
    begun(place)
    killed = Stopwatch()
    wait_until(lambda: runs.result(place.run_id() or "").status == "interrupted")
    assert killed.passed_s() < TOLD_S
    assert [run["status"] for run in place.json("runs", "list")] == ["interrupted"]


def test_of_two_that_resume_at_once_exactly_one_wins(tmp_path: Path) -> None:
    place = Place(tmp_path / "place", stages=20)  # so long that the second cannot come too late
    begun(place)
    both = [place.resume(), place.resume()]
    said = [process.communicate(timeout=PATIENCE_S) for process in both]
    winners = [p for p in both if p.returncode in (0, 4)]
    assert len(winners) == 1, (said, [p.returncode for p in both])
    (loser,) = [text for process, text in zip(both, said, strict=True) if process not in winners]
    assert json.loads(loser[0])["errors"][0]["code"] == "run-busy"
    assert b"run-busy" in loser[1]
