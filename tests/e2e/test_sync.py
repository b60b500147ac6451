"""Two processes hold one state over a Unix socket, also when one of them is killed."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.support.waiting import PATIENCE_S

from symphony.bus.core.patches import Patch
from symphony.bus.syncing import SyncedState, over_channel, primary
from symphony.ipc.transports import Channel, Connection, TransportConfig, listen

pytestmark = pytest.mark.slow
PEERS = Path(__file__).with_name("sync_peers.py")


@asynccontextmanager
async def child(address: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-P", str(PEERS), address, str(folder))
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_killed_side_comes_back_to_the_state_and_only_edits_travel(tmp_path: Path) -> None:
    accepted: asyncio.Queue[Connection] = asyncio.Queue()
    config = TransportConfig(runtime_dir=tmp_path)
    listener = await listen(f"unix://{tmp_path}/s/a.sock", accepted.put_nowait, config)
    answered = asyncio.Event()

    def changed(synced: SyncedState, _: Patch, __: bool) -> None:
        if isinstance(synced.state, dict) and synced.state["child"] == synced.state["parent"]:
            answered.set()

    core = primary({"text": b"0123456789" * 1_000_000, "parent": 0, "child": 0}, site="parent")
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(2):
            async with child(listener.address, tmp_path):
                connection = await accepted.get()
                synced = over_channel(Channel(connection), "state", core, site="parent", changed=changed)
                for _ in range(20):
                    answered.clear()
                    assert isinstance(synced.state, dict)
                    synced.set({**synced.state, "parent": int(str(synced.state["parent"])) + 1})
                    await answered.wait()
                await synced.wait_settled()
            synced.close()
            await connection.close()
            synced.set({**synced.state, "parent": 1000})
    assert isinstance(core.state, dict)
    assert core.state["child"] == 1020
    assert core.state["parent"] == 1000
    await listener.close()
