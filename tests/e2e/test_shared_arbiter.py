"""Processes of one home that share what is scarce, and are killed and stopped while they do."""

import asyncio
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.processes import Peers, line_of
from tests.support.waiting import PATIENCE_S, until

from symphony.bus.owning import holder_of
from symphony.pit.arbitration.sharing.messages import LOCK

pytestmark = pytest.mark.slow
PEERS = Path(__file__).with_name("arbiter_peers.py")
KILLS = 12


class Home(Peers):
    """A home, and the processes in it that want one of two places."""

    def __init__(self, folder: Path) -> None:
        super().__init__(PEERS)
        folder.chmod(0o700)
        self.folder, self.lock = folder, folder / "run" / LOCK

    async def holding(self, user: str, each_ms: float = 10, verb: str = "hold") -> subprocess.Popen[str]:
        """A process that has had its first grant."""
        process = self.begin(verb, self.folder, user, each_ms, stdin=subprocess.PIPE)
        assert await line_of(process) in ("owner", "member")
        return process

    async def granted(self, count: int) -> None:
        """Wait until so many grants have been counted, from now on if it is the first time."""
        (self.folder / "go").touch()
        grants = self.folder / "grants"
        await until(lambda: grants.exists() and grants.stat().st_size >= count, every_s=0.01)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    made.end()


async def ended(*processes: "subprocess.Popen[str]") -> list[tuple[str, int]]:
    """Have processes end, and well; the standing and the number of grants that each had."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    found = []
    for process in processes:
        process.stdin = None
        out, _ = await asyncio.to_thread(process.communicate, timeout=PATIENCE_S)
        assert process.returncode == 0, out
        standing, _, grants = out.splitlines()[-1].split()
        found.append((standing, int(grants)))
    return found


async def test_three_processes_share_two_places_fairly(home: Home) -> None:
    peers = [await home.holding(user) for user in ("ada", "bob", "eve")]
    assert holder_of(home.lock) == peers[0].pid
    await home.granted(300)
    found = await ended(*peers)
    assert found[0][0] == "owner"
    grants = [count for _, count in found]
    assert min(grants) > 0.7 * max(grants), grants


async def test_whenever_the_owner_is_killed_another_takes_over_and_nothing_is_granted_twice(
    home: Home,
) -> None:
    """A new process takes the place of each that is killed. The processes themselves count who holds."""
    seed = random.randrange(10_000)
    rng = random.Random(seed)
    peers = {peer.pid: peer for peer in [await home.holding("u") for _ in range(3)]}
    for _ in range(KILLS):
        owner = holder_of(home.lock)
        assert owner in peers, f"seed {seed}"
        await asyncio.sleep(rng.uniform(0.0, 0.1))
        peers.pop(owner).kill()
        await until(lambda gone=owner: holder_of(home.lock) != gone, every_s=0.01)
        new = await home.holding("u")
        peers[new.pid] = new
    await home.granted(50)
    found = await ended(*peers.values())
    assert all(count for _, count in found), f"seed {seed}: {found}"


async def test_what_a_killed_process_held_is_granted_to_others(home: Home) -> None:
    owner = await home.holding("ada", 1)
    greedy = home.begin("hold", home.folder, "bob", 3_600_000, stdin=subprocess.PIPE)
    await until(lambda: len(list((home.folder / "holds").glob(f"{greedy.pid}-*"))) == 2, every_s=0.01)
    greedy.kill()
    other = await home.holding("eve", 1)
    await home.granted(50)
    assert [count > 0 for _, count in await ended(owner, other)] == [True, True]


async def test_while_the_owner_is_stopped_others_go_on_by_themselves_and_come_back(home: Home) -> None:
    owner, other = await home.holding("ada", 1, "loose"), await home.holding("bob", 1, "loose")
    os.kill(owner.pid, signal.SIGSTOP)
    try:
        assert await line_of(other) == "alone"
    finally:
        os.kill(owner.pid, signal.SIGCONT)
    assert await line_of(other) == "member"
    assert (await ended(other))[0][0] == "member"
    assert (await ended(owner))[0][0] == "owner"
