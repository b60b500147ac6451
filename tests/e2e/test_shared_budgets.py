"""Processes whose runs share a budget, and are killed while they spend it: nothing is overspent."""

import asyncio
import json
import os
import random
import signal
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.support.commands import CommandLine
from tests.support.waiting import PATIENCE_S

from symphony.app import Symphony
from symphony.app.bus_places import RETAINED, bus_address
from symphony.bus import Bus, Policy, join
from symphony.bus.core.retention import Replay
from symphony.commons.settings import BudgetConfig, Config, ModelConfig, SharedBudgetConfig
from symphony.ipc.envelope import EventPayload
from symphony.ports.runs import RunStatus
from symphony.testing.model_server import Hangs, ModelServer

pytestmark = pytest.mark.slow

SEED = random.SystemRandom().randrange(1, 2**32)
COST = Decimal("0.012")
"""What each request really costs, for 10 tokens read and 2 written; each reserves more."""
FLOW = """\
name: Ask
nodes:
  many:
    instrument: writer
    for_each: "[0, 1, 2, 3, 4, 5, 6, 7]"
    inputs: {prompt: "How do bees sleep ${{ item }}?", max_tokens: 20}
outputs: {n: "${{ size(many) }}"}
"""


class Home(CommandLine):
    """A home whose runs ask a server, and share a budget for a day."""

    def __init__(self, folder: Path, server: ModelServer, money: str, exceeded: str) -> None:
        super().__init__(folder)
        self.flow, self.server = self.write("ask.yaml", FLOW), server
        self.home.mkdir(mode=0o700)
        self.budget(money, exceeded)

    def budget(self, money: str, exceeded: str) -> None:
        (self.home / "config.toml").write_text(
            f'[models.writer]\nprovider = "openai"\nurl = "{self.server.url}"\nretries = 0\n'
            "[models.writer.price]\ninput = 1000\noutput = 1000\n"
            f'[budget]\ntimezone = "UTC"\n[[budget.shared]]\nof = "user"\nper = "ever"\nmoney = "{money}"\n'
            f'exceeded = "{exceeded}"\n'
        )

    async def says(self, *words: str) -> Any:
        return await asyncio.to_thread(self.json, *words)

    async def spent(self) -> tuple[Decimal, Decimal]:
        """What is spent and what is held."""
        (shown,) = await self.says("pit", "budgets")
        return Decimal(shown["money_spent"]), Decimal(shown["money_held"])


async def test_a_budget_is_never_overspent_whoever_is_killed(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    async with ModelServer() as server:
        home = Home(tmp_path, server, "0.7", "fail")

        async def lives() -> None:
            for _ in range(6):
                process = await asyncio.to_thread(
                    home.start, "run", str(home.flow), "--as", "ada", "--no-cache"
                )
                before = len(server.asked)
                while process.poll() is None and len(server.asked) == before:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                await asyncio.sleep(chance.uniform(0.0, 1.0))
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await asyncio.to_thread(process.communicate)

        await asyncio.gather(lives(), lives(), lives())
        spent, held = await home.spent()
        true = len(server.asked) * COST
    assert held == 0, f"seed {SEED}"
    assert true <= spent <= Decimal("0.7"), f"seed {SEED}"
    assert spent > Decimal("0.5"), f"seed {SEED}: {spent}"  # there was something to quarrel about


async def shown_as_a_conflict(home: Home) -> None:
    """The arbiter, which no process has, shows what waits for the budget, and the bus has heard of it."""
    found = await asyncio.to_thread(home.json, "pit", "arbiter")
    assert [(one["kind"], one["waiting"]) for one in found["contentions"]] == [("cost limit", 1)]
    (waiting,) = found["waiting"]
    assert waiting["reason"].startswith("the whole budget of ada: 0 of 0.06 USD are spent")
    late = Bus()
    joined = await join(late, bus_address(home.home), serve=False)
    box = await (await late.endpoint("late")).mailbox(RETAINED, replay=Replay(), policy=Policy.DROP_OLDEST)
    async with asyncio.timeout(PATIENCE_S):
        payload = (await box.receive()).payload
    await joined.close()
    await late.close()
    assert isinstance(payload, EventPayload)
    assert isinstance(payload.data, dict)
    assert (payload.topic, payload.data["kind"]) == ("pit.arbiter.waits", "cost limit")


async def test_a_run_that_is_killed_while_it_waits_for_a_budget_goes_on_when_there_is_one(
    tmp_path: Path,
) -> None:
    async with ModelServer(Hangs()) as server:
        home = Home(tmp_path, server, "0.06", "wait")
        process = home.start("run", str(home.flow), "--as", "ada", "--no-cache")
        await asyncio.wait_for(server.came.wait(), PATIENCE_S)

        async def queued() -> bool:
            shown = await asyncio.to_thread(home.call, "runs", "show", "last")
            return "7 queued for model writer: the whole budget of ada" in shown.out

        async with asyncio.timeout(PATIENCE_S):
            while not await queued():
                assert process.poll() is None
        await shown_as_a_conflict(home)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert len(server.asked) == 1
        assert await asyncio.to_thread(home.json, "pit", "arbiter") is None  # the dead wait for nothing
        spent, held = await home.spent()
        assert held == 0  # what was under way counts in full
        assert spent > COST
        home.budget("10", "wait")
        await asyncio.to_thread(home.type, "runs", "resume")
        events = [json.loads(line) for line in home.call("runs", "events", "last", "--json").out.splitlines()]
        assert "node.waiting" not in {event["type"] for event in events}  # nothing was in doubt
        assert await home.spent() == (spent + 8 * COST, 0)


async def test_a_run_that_waits_for_a_budget_can_be_cancelled_and_holds_nothing(tmp_path: Path) -> None:
    async with ModelServer(Hangs()) as server:
        home = Home(tmp_path, server, "0.06", "wait")
        process = home.start("run", str(home.flow), "--as", "ada", "--no-cache")
        await asyncio.wait_for(server.came.wait(), PATIENCE_S)
        await asyncio.to_thread(home.type, "runs", "cancel", "last")
        await asyncio.to_thread(process.communicate, None, PATIENCE_S)
        assert (await home.spent())[1] == 0
        assert len(server.asked) == 1


async def test_a_wait_for_a_budget_holds_no_place_and_no_timeout(tmp_path: Path) -> None:
    """One request a day: of two the other waits, and the run's only place is free for a command."""
    async with ModelServer() as server:
        config = Config(
            models={"writer": ModelConfig(provider="openai", url=server.url, retries=0)},
            budget=BudgetConfig(shared=(SharedBudgetConfig(calls=1),)),
        )
        flow = tmp_path / "ask.yaml"
        flow.write_text(
            "name: Ask\nnodes:\n"
            "  a: {instrument: writer, inputs: {prompt: a}, priority: 9}\n"
            "  b: {instrument: writer, inputs: {prompt: b}, timeout: 1s, priority: 9}\n"
            "  c: {command: echo c}\n"
        )
        async with Symphony.open(tmp_path / "home", config=config) as symphony:
            handle = await symphony.start(flow, concurrency=1)
            seen = list[tuple[str, str | None]]()
            async with asyncio.timeout(PATIENCE_S):
                async for event in handle.events():
                    seen.append((event.type, event.node))
                    if ("node.finished", "c") in seen and "node.queued" in dict(seen):
                        break
            await asyncio.sleep(1.2)  # longer than the timeout
            assert symphony.runs.result(handle.run_id).status is RunStatus.RUNNING
            handle.cancel()
            result = await handle.result()
    assert len(server.asked) == 1
    assert sorted(result.nodes[name].status for name in "ab") == ["cancelled", "succeeded"]
