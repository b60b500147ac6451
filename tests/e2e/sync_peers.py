"""The other side of a synchronised state, in a process of its own: answers each edit with one of its own."""

import asyncio
import sys
from pathlib import Path

from symphony.bus.core.patches import Patch, merged
from symphony.bus.syncing import SyncedState, over_channel, secondary
from symphony.ipc.transports import Channel, TransportConfig, connect


def answer(synced: SyncedState, patch: Patch, conflict: bool) -> None:
    """`parent` counts the edits of one side; `child` follows it."""
    state = synced.state
    if isinstance(state, dict) and state.get("parent") != state.get("child"):
        synced.set({**state, "child": state.get("parent")})


async def main(address: str, folder: str) -> None:
    """Until killed."""
    channel = Channel(await connect(address, TransportConfig(runtime_dir=Path(folder))))
    core = secondary(site="child", policy=lambda met: merged(met.base, met.theirs, met.ours))
    over_channel(channel, "state", core, site="child", changed=answer)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
