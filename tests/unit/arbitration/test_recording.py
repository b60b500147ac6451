"""Records of arbiters: they replay to the same decisions, and whoever changed them is found out."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from symphony.commons.time import SystemClock
from symphony.pit.arbitration.core.strategies import ArbiterPolicy, Strategy
from symphony.pit.arbitration.limits import ArbiterLimits, ModelLimit
from symphony.pit.arbitration.local import PitArbiter
from symphony.pit.arbitration.recording import ArbiterRecord, RecordDamaged, replay_record
from symphony.ports.arbiter import ResourceRefused, ResourceRequest

STRATEGIES: tuple[Strategy, ...] = ("fair", "collaborative", "priority", "round-robin", "queue")


async def recorded(folder: Path, strategy: Strategy = "fair", seed: int = 0) -> Path:
    """A record of many requests of three users: some wait, some are given up, one is refused."""
    rng, record = Random(seed), ArbiterRecord(folder)
    limits = ArbiterLimits(cores=3, models={"m": ModelLimit(calls=2, batch=2)})
    arbiter = PitArbiter(
        limits, ArbiterPolicy(strategy=strategy, weights={"b": 2.0}), SystemClock(), record=record.add
    )

    async def one(number: int) -> None:
        request = ResourceRequest(
            run=rng.choice("xy"), node=f"n[{number}]", resource="m", kind="model", user=rng.choice("abc"),
            priority=rng.randint(0, 3), cores=rng.choice((0.0, 1.0, 2.0)),
        )  # fmt: skip
        grant = arbiter.try_acquire(request) or await arbiter.acquire(request)
        for _ in range(rng.randint(0, 5)):
            await asyncio.sleep(0)
        arbiter.release(grant)

    tasks = [asyncio.ensure_future(one(number)) for number in range(60)]
    await asyncio.sleep(0)
    for task in tasks[10:15]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with pytest.raises(ResourceRefused):
        await arbiter.acquire(ResourceRequest(run="x", node="big", resource="f", cores=9))
    await arbiter.stop()
    record.close()
    (path,) = folder.iterdir()  # noqa: ASYNC240  nothing else runs
    return path


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_record_gives_the_same_decisions_with_the_same_reasons_again(
    tmp_path: Path, strategy: Strategy
) -> None:
    path = await recorded(tmp_path / "logs", strategy, STRATEGIES.index(strategy))
    found = replay_record(path)
    assert found.differs is None
    assert found.inputs > 100
    assert found.decisions >= 56


async def test_a_decision_that_was_changed_or_left_out_is_found(tmp_path: Path) -> None:
    path = await recorded(tmp_path / "logs")
    lines = path.read_bytes().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if b'"type":"granted"' in line and b"waited" in line)
    other = lines[at].replace(b'"reason":"', b'"reason":"not ')
    path.write_bytes(b"".join([*lines[:at], other, *lines[at + 1 :]]))
    assert "reason='not " in str(replay_record(path).differs)
    path.write_bytes(b"".join([*lines[:at], *lines[at + 1 :]]))
    assert replay_record(path).differs is not None


async def test_a_record_that_a_kill_cut_off_replays_as_far_as_it_goes(tmp_path: Path) -> None:
    path = await recorded(tmp_path / "logs")
    body = path.read_bytes()
    for cut in (len(body) - 1, len(body) // 2, len(body) // 3):
        path.write_bytes(body[:cut])
        assert replay_record(path).differs is None
    path.write_bytes(b"")
    with pytest.raises(RecordDamaged):
        replay_record(path)
    path.write_bytes(b'{"type":"nothing"}\n')
    with pytest.raises(RecordDamaged, match="line 1"):
        replay_record(path)


async def test_a_record_that_cannot_be_written_or_is_full_stops_no_arbiter(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    record = ArbiterRecord(tmp_path / "file" / "logs")
    arbiter = PitArbiter(ArbiterLimits(cores=1), ArbiterPolicy(), SystemClock(), record=record.add)
    assert arbiter.try_acquire(ResourceRequest(run="r", node="n", resource="f")) is not None
    assert "recorded no more" in caplog.text
    small = ArbiterRecord(tmp_path / "logs", bytes_max=10)
    arbiter = PitArbiter(ArbiterLimits(cores=1), ArbiterPolicy(), SystemClock(), record=small.add)
    assert arbiter.try_acquire(ResourceRequest(run="r", node="n", resource="f")) is not None
    assert "is full" in caplog.text
