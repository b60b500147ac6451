"""How far does one side of a synchronised state lag behind the other?

Question: milliseconds from an edit in one process until the other has it: half of what passes until
the answer, an edit of the other side, is back. Size: 300 edits of 20 bytes in a buffer of 1 kB and
in one of 10 MB, two processes, a Unix socket; medians. Also what `set` takes to find the edit in
10 MB. Budget: 10 ms each.

Run: python benchmarks/sync.py; prints one JSON line.
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from measuring import Figure, line, median_ms

from symphony.bus.core.patches import difference
from symphony.bus.syncing import SyncedState, over_channel, primary, secondary
from symphony.ipc.transports import Channel, Connection, TransportConfig, connect, listen

EDITS, BUDGET_MS = 300, 10.0
SMALL, LARGE = 1000, 10_000_000
EDIT = b"twenty bytes of text"


async def child(address: str, folder: str) -> None:
    """Answers each edit that comes with one of its own."""
    channel = Channel(await connect(address, TransportConfig(runtime_dir=Path(folder))))

    def answer(synced: SyncedState, *_: object) -> None:
        if isinstance(synced.state, bytes) and synced.version > 1:
            synced.splice(0, len(EDIT), EDIT)

    over_channel(channel, "buffer", secondary(site="child"), site="child", changed=answer)
    await asyncio.Event().wait()


async def lag_ms(size: int) -> float:
    """The median lag with a buffer of `size` bytes."""
    accepted: asyncio.Queue[Connection] = asyncio.Queue()
    answered = asyncio.Event()
    took: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        config = TransportConfig(runtime_dir=Path(folder))
        listener = await listen(f"unix://{folder}/s/a.sock", accepted.put_nowait, config)
        process = await asyncio.create_subprocess_exec(sys.executable, __file__, listener.address, folder)
        try:
            core = primary(b"", site="parent")
            core.edit(["put", bytes(size)], 1)
            connection = await accepted.get()
            synced = over_channel(
                Channel(connection), "buffer", core, site="parent", changed=lambda *_: answered.set()
            )
            await synced.wait_settled()
            for _ in range(EDITS):
                answered.clear()
                started = perf_counter()
                synced.splice(size // 2, len(EDIT), EDIT)
                await answered.wait()
                took.append((perf_counter() - started) / 2 * 1000)
                await synced.wait_settled()
            synced.close()
            await connection.close()
        finally:
            process.kill()
            await process.wait()
            await listener.close()
    return median(took)


def found_ms() -> float:
    """What it takes to find an edit in the large buffer."""
    before = bytes(LARGE)
    after = before[: LARGE // 2] + EDIT + before[LARGE // 2 :]
    return median_ms(lambda: difference(before, after), 9)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(child(*sys.argv[1:]))
    figures = [
        Figure("lag of an edit, 1 kB", asyncio.run(lag_ms(SMALL)), "ms", BUDGET_MS),
        Figure("lag of an edit, 10 MB", asyncio.run(lag_ms(LARGE)), "ms", BUDGET_MS),
        Figure("find an edit in 10 MB", found_ms(), "ms", BUDGET_MS),
    ]
    print(line("sync", f"{EDITS} edits of {len(EDIT)} bytes", figures))
