"""Several models in real processes share one budget."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.contracts.test_models import Ledger, spec
from tests.support.processes import alive
from tests.support.waiting import PATIENCE_S, until

from symphony.pit.pool import LocalModels, PoolBudget, PoolPolicy
from symphony.pit.pool.memory import memory_here, memory_of
from symphony.ports.models import ModelUnavailable
from symphony.ports.pool import LeaseLost, ModelChanged, ModelPhase, ModelPrewarmed, PoolEvent

pytestmark = pytest.mark.slow

Make = Callable[..., LocalModels]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[LocalModels] = []

    def pool(
        *names: str, models_max: int = 2, tell: Callable[[PoolEvent], None] | None = None
    ) -> LocalModels:
        budget = PoolBudget(bytes_max=2**40, models_max=models_max)
        specs = dict.fromkeys(names, spec())
        made.append(LocalModels(specs, budget=budget, policy=PoolPolicy(), tell=tell))
        return made[-1]

    yield pool
    async with asyncio.timeout(PATIENCE_S):
        for one in made:
            await one.close()


async def ask(models: LocalModels, model: str, text: str = "abc") -> None:
    assert (await models.invoke(model, {"texts": [text]}, {}))["vectors"] == [[len(text), 0]]


async def test_the_longest_unused_model_leaves_for_another(make: Make) -> None:
    models = make("a", "b", "c")
    await ask(models, "a")
    await ask(models, "b")
    await ask(models, "a")
    first = models.pids()
    await ask(models, "c")
    assert set(models.pids()) == {"a", "c"}
    assert models.pids()["a"] == first["a"]
    assert not alive(first["b"])


async def test_calls_of_many_models_at_once_all_get_their_answers(make: Make) -> None:
    names = [f"m{number}" for number in range(6)]
    models = make(*names, models_max=2)
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, len(models.pids()))
            await asyncio.sleep(0.002)

    watching = asyncio.ensure_future(watch())
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*(ask(models, name, "x" * n) for n in range(4) for name in names))
    watching.cancel()
    assert 1 <= most <= 2


async def test_a_model_in_use_is_not_ended_for_another(make: Make, tmp_path: Path) -> None:
    models = make("a", "b", models_max=1)
    mark = tmp_path / "hanging"
    hanging = asyncio.ensure_future(models.invoke("a", {"texts": [f"hang {mark}"]}, {}))
    async with asyncio.timeout(PATIENCE_S):
        await until(mark.exists, every_s=0.01)
        pid = models.pids()["a"]
        waiting = asyncio.ensure_future(ask(models, "b"))
        await asyncio.sleep(0)
        assert alive(pid)
        hanging.cancel()
        await waiting
        await until(lambda: not alive(pid), every_s=0.01)
    assert set(models.pids()) == {"b"}


async def test_a_model_that_is_killed_while_idle_gives_its_room_back(make: Make) -> None:
    models = make("a", "b", models_max=1)
    await ask(models, "a")
    pid = models.pids()["a"]
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE_S):
        await until(lambda: not alive(pid), every_s=0.01)
        await ask(models, "b")
        await ask(models, "a")


async def test_callers_that_give_up_while_a_model_loads_leave_nothing_behind(make: Make) -> None:
    models = make("a", "b", models_max=1)
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(5):
            calls = [asyncio.ensure_future(ask(models, name)) for name in ("a", "b", "a")]
            await asyncio.sleep(0.01)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
        await ask(models, "b")
        await ask(models, "a")
    await models.close()
    here = [child for child in psutil.Process().children() if alive(child.pid)]
    assert not [child for child in here if "echo_child" in " ".join(child.cmdline())]


async def test_a_model_larger_than_the_budget_is_refused_with_the_setting_to_change() -> None:
    models = LocalModels(
        {"big": replace(spec(), size_bytes=2_000_000_000)}, budget=PoolBudget(bytes_max=1_000_000_000)
    )
    with pytest.raises(ModelUnavailable, match="it needs 2,000,000,000 bytes") as caught:
        await ask(models, "big")
    assert "pool.memory_mb" in str(caught.value.hint)
    await models.close()


async def test_what_a_process_takes_is_measured(make: Make) -> None:
    models = make("a")
    await ask(models, "a")
    found = memory_of(models.pids()["a"])
    assert found is not None
    assert 1_000_000 < found < memory_here()


async def test_a_model_that_leaks_beyond_the_budget_is_told_of_and_makes_room(
    caplog: pytest.LogCaptureFixture,
) -> None:
    models = LocalModels({"a": spec(), "b": spec()}, budget=PoolBudget(bytes_max=100_000_000))
    async with asyncio.timeout(PATIENCE_S):
        await ask(models, "a", "leak 150000000")
        await until(lambda: models.status().models[0].bytes > 150_000_000, every_s=0.2)
        await ask(models, "b")
        await until(lambda: set(models.pids()) == {"b"}, every_s=0.01)
        await models.close()
    assert "model a takes" in caplog.text
    assert "pool.memory_mb" in caplog.text


async def test_the_processes_that_a_process_started_count_too() -> None:
    holds = "held = b'x' * 100_000_000; print('held', flush=True); input()"
    starts = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {holds!r}])"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", starts, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"held\n"
    assert 100_000_000 < (memory_of(process.pid) or 0) < 150_000_000
    await process.communicate(b"\n")


def test_a_process_that_ended_takes_no_memory() -> None:
    assert memory_of(2**22 + 1) is None


async def test_a_model_that_is_foreseen_is_loaded_before_it_is_asked(make: Make) -> None:
    models = make("a", "b")
    async with asyncio.timeout(PATIENCE_S):
        models.foresee("run", {"b": 1})
        await until(lambda: "b" in models.pids(), every_s=0.01)
        pid = models.pids()["b"]
        await ask(models, "b")
    assert models.pids() == {"b": pid}


async def test_what_is_foreseen_stays_while_another_makes_room(make: Make) -> None:
    models = make("a", "b", "c")
    async with asyncio.timeout(PATIENCE_S):
        await ask(models, "a")
        await ask(models, "b")
        models.foresee("run", {"a": 2})
        await ask(models, "c")
        assert set(models.pids()) == {"a", "c"}
        models.foresee("run", None)
        await ask(models, "b")
        assert set(models.pids()) == {"b", "c"}


async def test_a_model_that_cannot_be_loaded_ahead_is_told_when_it_is_asked(tmp_path: Path) -> None:
    models = LocalModels({"a": spec("refuse", str(tmp_path / "starts"))})
    async with asyncio.timeout(PATIENCE_S):
        models.foresee("run", {"a": 1})
        await until((tmp_path / "starts").exists, every_s=0.01)
        with pytest.raises(ModelUnavailable, match="the model is not here"):
            await ask(models, "a")
        await models.close()


async def test_a_model_is_warmed_and_unloaded_by_request(make: Make) -> None:
    models = make("a", "b")
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(models.warm("a"), models.warm("a"))
        pid = models.pids()["a"]
        await models.warm("a")
        assert models.pids() == {"a": pid}
        await models.unload("a")
        assert models.pids() == {}
        assert not alive(pid)
        await models.unload("a")
    for request in (models.warm, models.unload):
        with pytest.raises(ModelUnavailable, match="there is no model 'c'") as caught:
            await request("c")
        assert caught.value.hint == "models here: a, b"


async def test_unloading_a_model_in_use_waits_for_the_answer(make: Make, tmp_path: Path) -> None:
    models = make("a")
    mark = tmp_path / "hanging"
    hanging = asyncio.ensure_future(models.invoke("a", {"texts": [f"hang {mark}"]}, {}))
    async with asyncio.timeout(PATIENCE_S):
        await until(mark.exists, every_s=0.01)
        pid = models.pids()["a"]
        unloading = asyncio.ensure_future(models.unload("a"))
        await asyncio.sleep(0)
        assert models.status().models[0].draining
        later = asyncio.ensure_future(ask(models, "a"))
        hanging.cancel()
        await unloading
        await later
        assert models.pids()["a"] != pid


async def test_warming_a_model_without_room_says_so(make: Make, tmp_path: Path) -> None:
    models = make("a", "b", models_max=1)
    mark = tmp_path / "hanging"
    hanging = asyncio.ensure_future(models.invoke("a", {"texts": [f"hang {mark}"]}, {}))
    async with asyncio.timeout(PATIENCE_S):
        await until(mark.exists, every_s=0.01)
        with pytest.raises(ModelUnavailable, match="model b: there is no room"):
            await models.warm("b")
        hanging.cancel()


async def test_warming_a_model_that_refuses_says_why(tmp_path: Path) -> None:
    models = LocalModels({"a": spec("refuse", str(tmp_path / "starts"))})
    async with asyncio.timeout(PATIENCE_S):
        for _ in range(2):
            with pytest.raises(ModelUnavailable, match="the model is not here") as caught:
                await models.warm("a")
            assert caught.value.hint == "fetch it"
        await models.close()


async def test_closing_ends_the_wait_for_a_model_to_warm() -> None:
    models = LocalModels({"a": spec("silent")})
    warming = asyncio.ensure_future(models.warm("a"))
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_S):
        await models.close()
        with pytest.raises(ModelUnavailable, match="closed"):
            await warming
        with pytest.raises(ModelUnavailable, match="closed"):
            models.status()


async def test_observers_hear_of_every_change_in_order(make: Make) -> None:
    heard: list[PoolEvent] = []
    models = make("a", tell=heard.append)
    async with asyncio.timeout(PATIENCE_S):
        models.foresee("run", {"a": 1})
        await until(lambda: models.status().models[0].phase is ModelPhase.HOT, every_s=0.01)
        await ask(models, "a")
        await models.unload("a")
    seen = [
        one.after.value if isinstance(one, ModelChanged) else one.outcome
        for one in heard
        if isinstance(one, ModelChanged | ModelPrewarmed)
    ]
    assert seen == ["warming", "started", "hot", "hit", "cooling", "cold"]
    hot = heard[2]
    assert isinstance(hot, ModelChanged)
    assert (hot.model, hot.before, hot.reason) == ("a", ModelPhase.WARMING, "loaded")
    assert 0 < hot.lasted_s < PATIENCE_S
    assert heard[0].at_s + hot.lasted_s == pytest.approx(hot.at_s, abs=0.5)


async def test_observers_hear_of_calls_whose_process_died(make: Make, tmp_path: Path) -> None:
    heard: list[PoolEvent] = []
    models = make("a", tell=heard.append)
    async with asyncio.timeout(PATIENCE_S):
        await ask(models, "a", f"die-once {tmp_path / 'died'}")
    lost = [one for one in heard if isinstance(one, LeaseLost)]
    assert [(one.model, one.lease, one.run) for one in lost] == [("a", "1", None)]


async def test_the_status_tells_of_a_real_process(make: Make) -> None:
    models = make("a", "b")
    async with asyncio.timeout(PATIENCE_S):
        await ask(models, "a")
        await until(lambda: models.status().models[0].measured, every_s=0.01)
    status = models.status()
    a, b = status.models
    assert (a.model, a.phase, a.pid) == ("a", ModelPhase.HOT, models.pids()["a"])
    assert (b.model, b.phase, b.pid) == ("b", ModelPhase.COLD, None)
    assert status.bytes_loaded == a.bytes > 1_000_000
    assert a.last_used_s is not None
    assert 0 <= status.at_s - a.last_used_s < PATIENCE_S


async def test_a_lease_carries_calls_and_says_whether_its_model_was_loaded(make: Make) -> None:
    models = make("a")
    async with asyncio.timeout(PATIENCE_S):
        async with models.lease("a", run="r", priority=3) as lease:
            assert (lease.cold, lease.pid, lease.lost) == (True, models.pids()["a"], False)
            assert lease.handle.model == "a"
            assert lease.handle.warmed_ms == pytest.approx(lease.waited_s * 1000)
            assert (await lease.call({"texts": ["ab"]}, {}))["vectors"] == [[2, 0]]
            (user,) = models.status().models[0].users
            assert (user.lease, user.run, user.priority) == (lease.handle.lease, "r", 3)
        async with models.lease("a") as lease:
            assert (lease.cold, lease.handle.warmed_ms) == (False, 0.0)
            assert models.pids()["a"] == lease.pid
            os.kill(models.pids()["a"], signal.SIGKILL)
            await until(lambda: lease.lost, every_s=0.01)
        with pytest.raises(ModelUnavailable, match="there is no model 'b'"):
            async with models.lease("b"):
                pass


async def test_of_those_that_wait_the_higher_priority_goes_first_and_a_cancelled_one_frees_its_slot(
    make: Make,
) -> None:
    models = make("a")
    order: list[int] = []

    async def use(priority: int) -> None:
        async with models.lease("a", priority=priority):
            order.append(priority)

    async with asyncio.timeout(PATIENCE_S):
        async with models.lease("a"):
            using = [asyncio.ensure_future(use(priority)) for priority in (0, 5, 2, 7)]
            await asyncio.sleep(0)
            assert models.status().waiting == 4
            using[3].cancel()
            await asyncio.sleep(0)
            assert models.status().waiting == 3
        await asyncio.wait(using)
        assert order == [5, 2, 0]

        async def hold() -> None:
            async with models.lease("a"):
                await asyncio.Event().wait()

        holding = asyncio.ensure_future(hold())
        await until(lambda: models.status().models[0].users != (), every_s=0.01)
        holding.cancel()
        await asyncio.sleep(0)
        assert models.status().models[0].users == ()


async def test_the_priority_of_the_caller_is_that_of_its_request(make: Make, tmp_path: Path) -> None:
    models, caller, mark = make("a"), Ledger(), tmp_path / "hanging"
    caller.run, caller.priority = "r", 4
    call = asyncio.ensure_future(models.invoke("a", {"texts": [f"hang {mark}"]}, {}, caller))
    async with asyncio.timeout(PATIENCE_S):
        await until(mark.exists, every_s=0.01)
    (user,) = models.status().models[0].users
    assert (user.run, user.priority) == ("r", 4)
    call.cancel()
