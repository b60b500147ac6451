"""Processes of one home that share its models, and are killed and stopped while they do."""

import asyncio
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.support.processes import Peers, alive, line_of
from tests.support.waiting import PATIENCE_S, until

from symphony.bus.owning import holder_of
from symphony.pit.pool.sharing.messages import LOCK

pytestmark = pytest.mark.slow
PEERS = Path(__file__).with_name("pool_peers.py")
CHILD = Path(__file__).parents[1] / "contracts" / "echo_child.py"
KILLS = 12


class Home(Peers):
    """A home, and the processes in it that ask the model `echo`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(PEERS)
        folder.chmod(0o700)
        self.folder, self.lock = folder, folder / "run" / LOCK

    async def asking(self, each_ms: int = 10) -> subprocess.Popen[str]:
        """A process that has had its first answer."""
        process = self.begin("ask", self.folder, each_ms, stdin=subprocess.PIPE)
        assert await line_of(process) in ("owner", "member")
        return process

    def models(self) -> list[tuple[int, int]]:
        """The processes of the model and their parents."""
        found = []
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
                if str(self.folder) in words and str(CHILD) in words and alive(process.pid):
                    found.append((process.pid, process.ppid()))
            except psutil.Error:
                continue
        return found

    async def owned_by_another(self, than: int) -> int:
        """Wait until another process owns the pool and has the model; its number."""
        await until(lambda: any(parent not in (than, 1) for _, parent in self.models()), every_s=0.01)
        owner = holder_of(self.lock)
        assert owner is not None
        return owner


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    made.end()


async def ended(*processes: "subprocess.Popen[str]") -> list[str]:
    """Have processes end, and well; the standing that each had."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
    standings = []
    for process in processes:
        process.stdin = None
        out, _ = await asyncio.to_thread(process.communicate, timeout=PATIENCE_S)
        assert process.returncode == 0
        standings.append(out.splitlines()[-1].split()[0])
    return standings


async def test_three_processes_share_one_process_of_a_model(home: Home) -> None:
    peers = [await home.asking() for _ in range(3)]
    ((_, parent),) = home.models()
    assert parent == holder_of(home.lock) == peers[0].pid
    assert (await ended(*peers))[0] == "owner"
    await until(lambda: not home.models(), every_s=0.01)


async def test_two_homes_share_nothing(home: Home) -> None:
    folder = home.folder / "another"
    folder.mkdir(mode=0o700)
    another = Home(folder)
    try:
        peers = [await home.asking(), await another.asking()]
        found = [one.models() for one in (home, another)]
        assert [[parent for _, parent in models] for models in found] == [[peer.pid] for peer in peers]
        assert await ended(*peers) == ["owner", "owner"]
    finally:
        another.end()


async def test_whenever_the_owner_is_killed_another_takes_over_and_no_call_is_lost(home: Home) -> None:
    """A new process takes the place of each that is killed, so that there are always three."""
    seed = random.randrange(10_000)
    rng = random.Random(seed)
    peers = {peer.pid: peer for peer in [await home.asking() for _ in range(3)]}
    for _ in range(KILLS):
        owner = holder_of(home.lock)
        assert owner in peers, f"seed {seed}"
        await asyncio.sleep(rng.uniform(0.0, 0.1))  # at any moment of a call
        models = [pid for pid, parent in home.models() if parent == owner]
        peers.pop(owner).kill()
        await home.owned_by_another(owner)
        await until(lambda gone=models: not any(map(alive, gone)), every_s=0.01)
        assert len(home.models()) == 1, f"seed {seed}"
        new = await home.asking()
        peers[new.pid] = new
    standings = await ended(*peers.values())
    assert standings.count("owner") in (1, 2, 3), f"seed {seed}: {standings}"
    await until(lambda: not home.models(), every_s=0.01)


async def test_an_owner_that_is_killed_while_its_model_loads_has_a_successor_that_loads_it_again(
    home: Home,
) -> None:
    loading = home.folder / "loading"
    loading.touch()
    peers = {
        peer.pid: peer
        for peer in (home.begin("ask", home.folder, 10, stdin=subprocess.PIPE) for _ in range(3))
    }
    await until(home.models, every_s=0.01)
    for _ in range(2):
        ((model, owner),) = home.models()
        assert owner == holder_of(home.lock)
        peers.pop(owner).kill()
        await until(lambda gone=model: not alive(gone), every_s=0.01)
        await home.owned_by_another(owner)
    loading.unlink()
    (left,) = peers.values()
    assert await line_of(left) == "owner"
    assert await ended(left) == ["owner"]
    await until(lambda: not home.models(), every_s=0.01)


async def test_an_owner_that_ends_leaves_the_pool_to_another_and_no_call_fails(home: Home) -> None:
    first, *others = [await home.asking() for _ in range(3)]
    assert await ended(first) == ["owner"]
    await home.owned_by_another(first.pid)
    assert "owner" in await ended(*others)
    await until(lambda: not home.models(), every_s=0.01)


async def test_while_the_owner_is_stopped_others_use_a_pool_of_their_own_and_come_back(home: Home) -> None:
    owner, other = await home.asking(), await home.asking()
    os.kill(owner.pid, signal.SIGSTOP)
    try:
        await until(lambda: other.pid in {parent for _, parent in home.models()}, every_s=0.05)
    finally:
        os.kill(owner.pid, signal.SIGCONT)
    assert [await line_of(other) for _ in range(2)] == ["alone", "member"]
    assert await ended(owner, other) == ["owner", "member"]
    await until(lambda: not home.models(), every_s=0.01)
