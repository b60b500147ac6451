"""What the bus of a home hears of its arbiter, also whoever comes late."""

import asyncio
from pathlib import Path

import pytest

from symphony.app.bus_places import RETAINED, bus_address, passing_name
from symphony.app.live import LiveBus
from symphony.bus import Bus, Policy, join
from symphony.bus.core.retention import Replay
from symphony.commons.time import SystemClock
from symphony.ipc.envelope import EventPayload
from symphony.pit.arbitration.core.strategies import ArbiterPolicy
from symphony.pit.arbitration.limits import ArbiterLimits, ModelLimit
from symphony.pit.arbitration.sharing import SharedArbiter
from symphony.ports.arbiter import ResourceRefused, ResourceRequest


def asking(node: str, cores: float = 1.0) -> ResourceRequest:
    """A request for the only place of the model, and for cores."""
    return ResourceRequest(run="r", node=node, resource="m", kind="model", user="ada", cores=cores)


async def test_whoever_comes_late_hears_who_waited_and_was_granted_and_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)  # noqa: ASYNC240  at once
    live = LiveBus(tmp_path)
    arbiter = SharedArbiter(
        ArbiterLimits(cores=2, models={"m": ModelLimit(calls=1)}),
        ArbiterPolicy(),
        SystemClock(),
        folder=tmp_path / "run",
        bus=live.reach,
        asking=passing_name("arbiter"),
    )
    first = await arbiter.acquire(asking("first"))
    second = asyncio.ensure_future(arbiter.acquire(asking("second")))
    while not (await arbiter.status()).waiting:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert (await arbiter.status()).contentions[0].supply == "model m"
    arbiter.release(first)
    arbiter.release(await second)
    with pytest.raises(ResourceRefused):
        await arbiter.acquire(asking("third", cores=3))
    late = Bus()
    joined = await join(late, bus_address(tmp_path), serve=False)
    box = await (await late.endpoint("late")).mailbox(RETAINED, replay=Replay(), policy=Policy.DROP_OLDEST)
    heard = dict[str, object]()
    async with asyncio.timeout(10):
        while len(heard) < 4:
            envelope = await box.receive()
            assert envelope is not None
            payload = envelope.payload
            assert isinstance(payload, EventPayload)
            assert isinstance(payload.data, dict)
            heard[payload.topic] = payload.data.get("node")
    await joined.close()
    await late.close()
    await arbiter.stop()
    await live.close()
    assert heard == {
        "pit.arbiter.owner": None,
        "pit.arbiter.waits": "second",
        "pit.arbiter.granted": "second",
        "pit.arbiter.refused": "third",
    }
