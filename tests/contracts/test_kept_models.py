"""Models that are kept loaded: by the pool of a process, by that of its home, and when its owner ends."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from tests.support.waiting import PATIENCE_S, until

from symphony.app.bus_places import passing_name
from symphony.app.live import LiveBus
from symphony.pit.pool import ChildSpec, Elementwise, LocalModels, PoolBudget, PoolPolicy
from symphony.pit.pool.keeping import KeptModel, PoolTooSmall
from symphony.pit.pool.sharing import SharedModels, SharedSpec
from symphony.pit.pool.sharing.messages import LOCK
from symphony.ports.models import ModelUnavailable
from symphony.ports.pool import LeaseStatus, ModelPhase, ModelStatus

pytestmark = pytest.mark.slow

CHILD = Path(__file__).with_name("echo_child.py")
NAMES = ("a", "b", "c", "d")
BUDGET = PoolBudget(bytes_max=2**40, models_max=2)
AT_ONCE = PoolPolicy(keep_s=0.05, histogram=False)
"""What nobody keeps or uses ends in a moment."""
Pool: TypeAlias = LocalModels | SharedModels


def spec(name: str) -> ChildSpec:
    return ChildSpec(
        argv=(sys.executable, "-P", str(CHILD)), fingerprint=name, elementwise=Elementwise("texts", "vectors")
    )


class Pools:
    """Pools of one home, each as if it were of another process, and one that is by itself."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.shared: list[tuple[SharedModels, LiveBus]] = []
        self.local: list[LocalModels] = []

    def alone(self) -> LocalModels:
        self.local.append(LocalModels({name: spec(name) for name in NAMES}, budget=BUDGET, policy=AT_ONCE))
        return self.local[-1]

    def share(self) -> SharedModels:
        live = LiveBus(self.home)
        models = SharedModels(
            {name: SharedSpec(spec(name), name.encode()) for name in NAMES},
            lambda name, _settings: spec(name),
            budget=BUDGET,
            policy=AT_ONCE,
            lock=self.home / "run" / LOCK,
            bus=live.reach,
            asking=passing_name("pool"),
        )
        self.shared.append((models, live))
        return models

    async def end(self, models: SharedModels) -> None:
        """As if its process ended."""
        live = next(live for one, live in self.shared if one is models)
        await models.close()
        await live.close()

    async def close(self) -> None:
        for one in self.local:
            await one.close()
        for models, _ in reversed(self.shared):
            await self.end(models)

    def all(self) -> list[Pool]:
        return [*self.local, *(pool for pool, _ in self.shared)]

    def processes(self) -> set[int]:
        """The processes of the models that are loaded, in whichever pool."""
        return {pid for pool in self.all() for pid in loaded(pool).values()}

    def users(self, model: str) -> list[tuple[LeaseStatus, ...]]:
        """Those who use a model, in each pool."""
        return [one.users for pool in self.all() for one in models_of(pool) if one.model == model]

    def hot(self) -> set[str]:
        """The models that are loaded, in whichever pool."""
        return {name for pool in self.all() for name in loaded(pool)}


def models_of(pool: Pool) -> tuple[ModelStatus, ...]:
    return pool.status().models if isinstance(pool, LocalModels) else pool.status().pool.models


def loaded(pool: Pool) -> dict[str, int]:
    """Each model that is hot, with its process."""
    return {one.model: one.pid or 0 for one in models_of(pool) if one.phase is ModelPhase.HOT}


@pytest.fixture
async def pools(tmp_path: Path) -> AsyncIterator[Pools]:
    made = Pools(tmp_path / "home")
    yield made
    await made.close()


Make: TypeAlias = Callable[[], Pool]


@pytest.fixture(params=["alone", "owner", "member"])
async def make(request: pytest.FixtureRequest, pools: Pools) -> Make:
    """Gives a pool of the process, or one of several that share it."""
    if request.param == "alone":
        one = pools.alone()
        return lambda: one
    if request.param == "owner":
        one_shared = pools.share()
        return lambda: one_shared
    await pools.share().invoke("a", {"texts": ["x"]}, {})
    return pools.share


def names(kept: list[KeptModel]) -> list[str]:
    return [one.handle.model for one in kept]


async def test_kept_models_stay_loaded_and_answer_until_they_are_released(pools: Pools, make: Make) -> None:
    pool = make()
    kept = await pool.keep(["b", "a", "b"])
    assert names(kept) == ["a", "b"]
    assert len({one.handle.lease for one in kept}) == 2
    await asyncio.sleep(AT_ONCE.keep_s * 3)
    assert pools.hot() == {"a", "b"}
    for name in ("a", "b"):
        assert (await pool.invoke(name, {"texts": ["xy"]}, {}))["vectors"] == [[2, 0]]
    for _ in range(2):
        kept[0].release()
    await until(lambda: pools.hot() == {"b"}, every_s=0.01)
    kept[1].release()
    await until(lambda: pools.hot() == set(), every_s=0.01)


async def test_more_than_the_budget_holds_is_refused_and_nothing_is_kept(pools: Pools, make: Make) -> None:
    pool = make()
    with pytest.raises(
        PoolTooSmall, match="a, b, c cannot be loaded at the same time: the pool has room for 2"
    ):
        await pool.keep(["a", "b", "c"])
    with pytest.raises(ModelUnavailable, match="no model 'none'"):
        await pool.keep(["a", "none"])
    await until(lambda: pools.hot() == set(), every_s=0.01)
    for one in await pool.keep(["c", "d"]):
        one.release()


async def test_two_that_want_several_models_each_do_not_wait_for_each_other(make: Make) -> None:
    pools = [make() for _ in range(4)]
    wanted = [("a", "b"), ("c", "d"), ("b", "c"), ("d", "a")]

    async def use(pool: Pool, models: tuple[str, ...]) -> None:
        for one in await pool.keep(models):
            one.release()

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        for pool, models in zip(pools, wanted, strict=True):
            tasks.create_task(use(pool, models))


async def test_whoever_stops_waiting_keeps_nothing(pools: Pools, make: Make) -> None:
    pool, other = make(), make()
    kept = await pool.keep(["a", "b"])
    waiting = asyncio.ensure_future(other.keep(["a", "c"]))
    await until(lambda: any(len(users) == 2 for users in pools.users("a")), every_s=0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    for one in kept:
        one.release()
    await until(lambda: pools.hot() == set(), every_s=0.01)
    for one in await other.keep(["c", "d"]):
        one.release()


async def test_a_kept_model_that_dies_is_loaded_again(pools: Pools, make: Make) -> None:
    pool = make()
    (kept,) = await pool.keep(["a"])
    (before,) = pools.processes()
    os.kill(before, signal.SIGKILL)
    await until(lambda: before not in pools.processes(), every_s=0.01)
    await until(lambda: pools.hot() == {"a"}, every_s=0.01)
    await asyncio.sleep(AT_ONCE.keep_s * 3)
    assert pools.hot() == {"a"}
    kept.release()
    await until(lambda: pools.hot() == set(), every_s=0.01)


async def test_when_the_owner_ends_the_next_one_keeps_the_models(pools: Pools) -> None:
    owner = pools.share()
    await owner.invoke("a", {"texts": ["x"]}, {})
    first, second = pools.share(), pools.share()
    kept = await first.keep(["a", "b"])
    also = await second.keep(["a"])
    assert set(loaded(owner)) == {"a", "b"}
    kept[1].release()
    await pools.end(owner)
    pools.shared = pools.shared[1:]
    await until(lambda: pools.hot() == {"a"}, every_s=0.01)
    kept[0].release()
    await asyncio.sleep(AT_ONCE.keep_s * 3)
    assert pools.hot() == {"a"}
    also[0].release()
    await until(lambda: pools.hot() == set(), every_s=0.01)


async def test_what_a_process_that_is_gone_kept_may_end(pools: Pools) -> None:
    owner = pools.share()
    await owner.invoke("a", {"texts": ["x"]}, {})
    other = pools.share()
    await other.keep(["a", "b"])
    await pools.end(other)
    await until(lambda: loaded(owner) == {}, every_s=0.01)
