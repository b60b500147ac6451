"""Real processes are killed and stopped at random, while users come, go and give up at random."""

import asyncio
import contextlib
import os
import random
import signal
from time import monotonic

import psutil
import pytest
from tests.contracts.test_models import spec
from tests.support.waiting import PATIENCE_S

from symphony.pit.pool import LocalModels, PoolBudget, PoolPolicy
from symphony.ports.models import ModelFailed, ModelUnavailable

pytestmark = pytest.mark.slow

NAMES = "abcde"
LASTS_S = 6.0
SIGNALS = (signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGSEGV)
ORDERS = ("x", "take 50", "die", "leak 3000000", "busy 0.05")


class Soak:
    """A pool, and what is done to it."""

    def __init__(self, seed: int) -> None:
        self.rng, self.until_s = random.Random(seed), monotonic() + LASTS_S
        self.answered = 0
        self.models = LocalModels(
            {name: spec() for name in NAMES},
            budget=PoolBudget(bytes_max=45_000_000, models_max=3),
            policy=PoolPolicy(keep_s=0.3, keep_min_s=0.1),
            refusal_s=0.05,
        )

    async def use(self, run: str) -> None:
        """A user who asks for one thing after another."""
        while monotonic() < self.until_s:
            with contextlib.suppress(ModelFailed, ModelUnavailable, TimeoutError):
                async with asyncio.timeout(self.rng.choice([None, 0.05, 0.5])):
                    await self._something(run, self.rng.choice(NAMES))
            await asyncio.sleep(self.rng.random() * 0.02)

    async def _something(self, run: str, model: str) -> None:
        match self.rng.randrange(20):
            case 0 | 1:
                self.models.foresee(run, {model: self.rng.randrange(1, 3)})
            case 2:
                await self.models.unload(model)
            case 3:
                await self.models.warm(model)
            case 4:
                for kept in await self.models.keep(self.rng.sample(NAMES, 2), run=run):
                    kept.release()
            case _:
                text = self.rng.choice(ORDERS)
                answer = await self.models.invoke(model, {"texts": [text]}, {})
                assert answer["vectors"] == [[len(text), 0]]
                self.answered += 1

    async def answers(self, model: str) -> None:
        """Ask until there is an answer: what was hurt last may have to fail first."""
        answer = None
        while answer is None:
            with contextlib.suppress(ModelFailed, ModelUnavailable):
                answer = await self.models.invoke(model, {"texts": ["z"]}, {})
            await asyncio.sleep(0.01)
        assert answer["vectors"] == [[1, 0]]

    async def hurt(self) -> None:
        """Signals to processes, also to those that load."""
        while monotonic() < self.until_s:
            await asyncio.sleep(self.rng.random() * 0.3)
            if pids := list(self.models.pids().values()):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.rng.choice(pids), self.rng.choice(SIGNALS))


async def test_whatever_is_killed_stopped_or_given_up_the_pool_goes_on_and_leaves_nothing() -> None:
    seed = random.randrange(10_000)
    soak, said = Soak(seed), list[object]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))
    async with asyncio.timeout(PATIENCE_S + LASTS_S):
        await asyncio.gather(soak.hurt(), *(soak.use(f"r{number}") for number in range(10)))
        for number in range(10):
            soak.models.foresee(f"r{number}", None)
        for name in NAMES:
            await soak.answers(name)
        status = soak.models.status()
        assert (status.waiting, [one.users for one in status.models if one.users]) == (0, []), f"seed {seed}"
        await soak.models.close()
    assert (said, soak.answered > 0, psutil.Process().children()) == ([], True, []), f"seed {seed}"
