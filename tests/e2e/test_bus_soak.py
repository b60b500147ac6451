"""How long the bus bears load: two processes send, a third carries, a fourth checks every message."""

import asyncio
import json
import os
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil
import pytest
from tests.support.processes import Peers
from tests.support.waiting import PATIENCE_S

from symphony.ipc import CODECS, EndpointId, EventPayload, Stationery

pytestmark = pytest.mark.slow

PEERS = Path(__file__).with_name("bus_peers.py")
SOAK_S = float(os.environ.get("SYMPHONY_SOAK_S", "20"))
RATE = 20_000
"""Messages a second, of all senders together."""
SENDERS = ("one", "two")
SAMPLE_S = 0.5
GROWTH_BYTES_MAX = 8 << 20
"""Of one process after its warm-up: 20 bytes a message in 20 s, less than one in ten minutes."""
REFERENCE_ROUNDS = 200
COST_MAX = 9.0
"""What a message may cost the process that it costs most, in messages encoded and decoded again."""
SOAKS_MAX = 3
BUSY_MIN = 0.9
"""The share of its time, at work or waiting for a core, from which a process could do no more."""


class Sent(msgspec.Struct, forbid_unknown_fields=True):
    """What a sender says at its end: how many it sent, in how many seconds."""

    count: int
    wall_s: float


class Checked(msgspec.Struct, forbid_unknown_fields=True):
    """What the receiver says at its end: what came of each sender, and the first fault that it saw."""

    counts: dict[str, int]
    told: dict[str, int]
    fault: str | None


class Reference:
    """CPU seconds that this machine needs, at this time, to encode and decode a message."""

    def __init__(self) -> None:
        self._codec = CODECS["msgpack"]
        self._message = Stationery(EndpointId("one")).envelope("event", EventPayload("soak.one", 123_456))
        self._rounds, self._spent_s = 0, 0.0

    def measure(self) -> None:
        """About a millisecond of work, beside everything else that runs."""
        began_s = time.thread_time()
        for _ in range(REFERENCE_ROUNDS):
            self._codec.decode(self._codec.encode(self._message))
        self._spent_s += time.thread_time() - began_s
        self._rounds += REFERENCE_ROUNDS

    @property
    def round_s(self) -> float:
        """CPU seconds for one."""
        return self._spent_s / self._rounds


class Sample(NamedTuple):
    """Each process at one moment: resident bytes, CPU seconds, seconds for which it waited for a core."""

    resident: tuple[int, ...]
    cpu_s: tuple[float, ...]
    starved_s: tuple[float, ...]


class Load(Peers):
    """The processes of one soak."""

    def __init__(self, folder: Path) -> None:
        super().__init__(PEERS)
        self._address = f"unix://{folder}/run/bus.sock"

    def start(self, verb: str, name: str, *more: object) -> subprocess.Popen[str]:
        """Returns when it is on the bus."""
        process = self.begin(verb, self._address, name, *more, stdin=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() in ("hub\n", "member\n")
        return process

    def sample(self) -> Sample:
        """How they stand now."""
        found = [psutil.Process(one.pid) for one in self.processes]
        cpu_s = tuple(one.cpu_times().user + one.cpu_times().system for one in found)
        starved_s = tuple(_starved_s(one.pid) for one in found)
        return Sample(tuple(one.memory_info().rss for one in found), cpu_s, starved_s)


def _starved_s(pid: int) -> float:
    """Seconds for which a process could have run and had no core; 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


@pytest.mark.usefixtures("machine")
async def test_under_load_for_a_while_every_message_comes_once_and_in_order(tmp_path: Path) -> None:
    """`make soak` does so for longer.

    What a message costs is compared with what its encoding costs at the same time on the same
    machine, in the best of some soaks: programs beside this one take its caches. The pace is held,
    apart from the time without a core, unless one of the processes was at work or without a core
    for nearly all of the time: then it could go no faster, and its cost is what counts.
    """
    costs = list[float]()
    for turn in range(SOAKS_MAX):
        load = Load(tmp_path / f"{turn}")
        try:
            costs.append(await soaked(load))
        finally:
            load.end()
        if costs[-1] < COST_MAX:
            return
    pytest.fail(f"a message costs {costs} times its encoding")


async def soaked(load: Load) -> float:
    """One soak; what a message cost."""
    reference = Reference()
    load.start("hub", "hub")
    receiver = load.start("check", "checking", *SENDERS)
    senders = [load.start("pace", name, RATE / len(SENDERS), SOAK_S) for name in SENDERS]
    for one in senders:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    began = load.sample()
    async with asyncio.timeout(SOAK_S + PATIENCE_S), asyncio.TaskGroup() as tasks:
        lines = [tasks.create_task(asyncio.to_thread(_line, one)) for one in (*senders, receiver)]
        loop = asyncio.get_running_loop()
        began_s, warm, last = loop.time(), began, began
        while not all(one.done() for one in lines[:-1]) and all(one.poll() is None for one in senders):
            last = load.sample()
            reference.measure()
            if loop.time() - began_s < SOAK_S / 4:
                warm = last
            await asyncio.wait(lines[:-1], timeout=SAMPLE_S, return_when=asyncio.ALL_COMPLETED)
    sent = {
        name: msgspec.json.decode(line.result(), type=Sent)
        for name, line in zip(SENDERS, lines, strict=False)
    }
    checked = msgspec.json.decode(lines[-1].result(), type=Checked)
    ended = load.sample()

    total = sum(one.count for one in sent.values())
    wall_s = max(one.wall_s for one in sent.values())
    starved_s = [after - before for before, after in zip(began.starved_s, ended.starved_s, strict=True)]
    cpu_s = [after - before for before, after in zip(began.cpu_s, ended.cpu_s, strict=True)]
    cost = max(cpu_s) / total / reference.round_s
    busy = [(spent + starved) / wall_s for spent, starved in zip(cpu_s, starved_s, strict=True)]
    grown = [after - before for before, after in zip(warm.resident, last.resident, strict=True)]
    report = {
        "messages": total,
        "per_second": round(total / wall_s),
        "wall_s": round(wall_s, 2),
        "starved_s": [round(one, 2) for one in starved_s],
        "cpu_s": [round(one, 2) for one in cpu_s],
        "busy": [round(one, 2) for one in busy],
        "us_reference": round(reference.round_s * 1e6, 2),
        "cost": round(cost, 1),
        "grown_bytes": grown,
    }
    print(json.dumps(report))

    assert checked.fault is None, report
    assert checked.counts == checked.told == {name: one.count for name, one in sent.items()}, report
    assert max(grown) < GROWTH_BYTES_MAX, report
    assert total >= 0.8 * RATE * (wall_s - sum(starved_s)) or max(busy) >= BUSY_MIN, report
    return cost


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()
