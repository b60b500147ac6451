"""Hosted models inside runs: usage that lasts, budgets that hold, tokens that pass, keys that stay out."""

# ruff: noqa: ASYNC240  what was written is looked at once all is over

import asyncio
import re
import signal
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from tests.support.commands import SYMPHONY, CommandLine, Ended
from tests.support.waiting import PATIENCE_S

from symphony import WorkflowBuilder
from symphony.app import Symphony
from symphony.commons.settings import BudgetConfig, Config, ModelConfig, Price
from symphony.pit.tracker.core.budget import Limits
from symphony.ports.models import Usage
from symphony.ports.runs import RunResult, RunStatus
from symphony.testing.model_server import Answers, Hangs, ModelServer, Says
from symphony.workflow import Catalog, Workflow, dumps
from symphony.workflow.model import Budget

pytestmark = pytest.mark.slow

KEY = "sk-hunter2-hunter2"
PRICE = Price(input=Decimal("0.15"), output=Decimal("0.60"))


def settings(server: ModelServer, **model: object) -> Config:
    given = {
        "provider": "openai",
        "url": server.url,
        "key": "CHAT_KEY",
        "price": PRICE,
        "retries": 0,
        **model,
    }
    return Config(models={"chat": ModelConfig(**{**given, **model})})  # type: ignore[arg-type]


def opened(home: Path, config: Config) -> Symphony:
    return Symphony.open(home, config=config)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_KEY", KEY)


def catalog(config: Config) -> Catalog:
    return Symphony.open(memory=True, config=config).catalog


def chain(config: Config, count: int = 2, **options: object) -> Workflow:
    """Nodes a, b, …, each asking after the one before."""
    builder = WorkflowBuilder("chain", catalog=catalog(config))
    for at in range(count):
        after = [chr(96 + at)] if at else []
        inputs = {"prompt": f"question {at}", "max_tokens": 10}
        builder.add_instrument("chat", inputs=inputs, name=chr(97 + at), after=after, **options)  # type: ignore[arg-type]
    return builder.output("said", f"${{{{ {chr(96 + count)}.text }}}}").build()


async def finished(symphony: Symphony, workflow: Workflow, budget: Limits | None = None) -> RunResult:
    async with asyncio.timeout(PATIENCE_S):
        handle = await symphony.start(workflow, budget=budget)
        return await handle.result()


async def test_usage_and_cost_stand_in_the_result_and_in_what_is_kept(tmp_path: Path) -> None:
    async with ModelServer(Says(("one",), (100, 10, 0)), Says(("two",), (200, 20, 0))) as server:
        config = settings(server)
        async with opened(tmp_path, config) as symphony:
            result = await finished(symphony, chain(config))
            kept = symphony.runs.result(result.run_id)
    assert result.status is RunStatus.SUCCEEDED
    first = Usage(calls=1, tokens_in=100, tokens_out=10, cost=Decimal("0.000021"), currency="USD")
    assert result.nodes["a"].usage == first
    assert result.usage == Usage(
        calls=2, tokens_in=300, tokens_out=30, cost=Decimal("0.000063"), currency="USD"
    )
    assert (kept.usage, kept.nodes) == (result.usage, result.nodes)
    told = [event.data["usage"] for event in symphony.runs.events(result.run_id) if "usage" in event.data]
    assert [usage["cost"] for usage in told] == ["0.000021", "0.000042"]  # type: ignore[index, call-overload]


async def test_a_reused_result_costs_nothing(tmp_path: Path) -> None:
    async with ModelServer() as server:
        config = settings(server)
        async with opened(tmp_path, config) as symphony:
            await finished(symphony, chain(config))
            again = await finished(symphony, chain(config), Limits(calls=1, money=Decimal(0)))
        assert (again.status, again.usage, len(server.asked)) == (RunStatus.SUCCEEDED, None, 2)


async def test_expressions_in_config_reach_the_provider_and_decide_what_is_reused(tmp_path: Path) -> None:
    async with ModelServer() as server:
        config = settings(server)
        workflow = (
            WorkflowBuilder("config", catalog=catalog(config))
            .input("p", "number")
            .add_instrument("chat", {"top_p": "${{ inputs.p }}"}, inputs={"prompt": "Hi"}, name="a")
            .output("said", "${{ a.text }}")
            .build()
        )
        async with opened(tmp_path, config) as symphony:
            for p in (0.25, 0.5, 0.5):
                handle = await symphony.start(workflow, {"p": p})
                assert (await handle.result()).status is RunStatus.SUCCEEDED
        assert [asked.body["top_p"] for asked in server.asked] == [0.25, 0.5]


@pytest.mark.parametrize(
    ("budget", "why"),
    [
        (Limits(calls=1), "may need 1 of calls, and 1 of the run's 1 are spent"),
        (Limits(tokens=42), "may need 31 of tokens, and 12 of the run's 42 are spent"),
        (Limits(money=Decimal("0.00001")), r"USD of money, and 0\.0000027 USD of the run's 0\.00001 USD"),
    ],
)
async def test_a_request_that_may_overspend_is_not_made(tmp_path: Path, budget: Limits, why: str) -> None:
    async with ModelServer() as server:
        config = settings(server)
        async with opened(tmp_path, config) as symphony:
            result = await finished(symphony, chain(config), budget)
        assert result.error is not None
        assert (result.error.code, result.error.node) == ("budget-exceeded", "b")
        assert "node b " in result.error.message
        assert len(server.asked) == 1
        assert re.search(why, result.error.message), result.error.message


async def test_requests_at_the_same_time_cannot_overspend_together(tmp_path: Path) -> None:
    async with ModelServer() as server:
        config = settings(server)
        workflow = (
            WorkflowBuilder("wide", catalog=catalog(config))
            .add_instrument("chat", inputs={"prompt": "${{ item }}"}, for_each=[str(n) for n in range(12)],
                            name="ask", cache="off", on_error="skip")
            .output("said", "${{ ask.text }}")
            .build()
        )  # fmt: skip
        async with opened(tmp_path, config) as symphony:
            # One may need 1,041 and needs 12: they go one after the other, and all but the last fit.
            result = await finished(symphony, workflow, Limits(tokens=1041 + 12 * 10))
        assert result.usage is not None
        assert len(server.asked) == 11
        assert result.usage.tokens == 11 * 12
        assert server.most_at_once == 1


async def test_the_strictest_of_workflow_settings_and_call_holds(tmp_path: Path) -> None:
    async with ModelServer() as server:
        config = msgspec.structs.replace(settings(server), budget=BudgetConfig(calls=2))
        workflow = chain(config, 4, cache="off")
        async with opened(tmp_path, config) as symphony:
            by_settings = await finished(symphony, workflow)
            by_workflow = await finished(symphony, msgspec.structs.replace(workflow, budget=Budget(calls=1)))
            by_call = await finished(symphony, workflow, Limits(calls=3))
        spent = [result.usage.calls for result in (by_settings, by_workflow, by_call) if result.usage]
        assert spent == [2, 1, 2]


async def test_a_model_without_a_price_is_refused_where_money_is_limited(tmp_path: Path) -> None:
    async with ModelServer() as server:
        config = settings(server, price=None)
        async with opened(tmp_path, config) as symphony:
            result = await finished(symphony, chain(config, 1), Limits(money=Decimal(1)))
        assert result.error is not None
        assert (result.error.code, server.asked) == ("budget-exceeded", [])
        assert "set the price of chat" in (result.error.hint or "")


async def test_what_models_write_passes_by_and_is_kept_nowhere_but_in_the_log(tmp_path: Path) -> None:
    async with ModelServer(Says(("half an ", "answer"), torn=True)) as server:
        config = settings(server)
        async with opened(tmp_path, config) as symphony:
            handle = await symphony.start(chain(config, 1))
            live = [event async for event in handle.live()]
            result = await handle.result()
            logged = [line for line in symphony.runs.logs(handle.run_id) if line.stream == "tokens"]
        tokens = [event for event in live if event.type == "node.tokens"]
        assert "".join(str(event.data["text"]) for event in tokens) == "half an answer"
        assert {event.node for event in tokens} == {"a"}
        assert "".join(line.text for line in logged) == "half an answer"
        durable = [event.type for event in live if event.type != "node.tokens"]
        assert durable == [event.type for event in symphony.runs.events(handle.run_id)]
        assert b"half an" not in symphony.runs.journal_path(handle.run_id).read_bytes()
        assert result.status is RunStatus.FAILED
        assert result.usage is not None
        assert (result.usage.calls, result.usage.estimated) == (1, True)


async def test_cancelling_a_run_closes_the_stream(tmp_path: Path) -> None:
    async with ModelServer(Says(("one",), stall=True)) as server:
        config = settings(server)
        async with opened(tmp_path, config) as symphony:
            handle = await symphony.start(chain(config, 1))
            async for event in handle.live():
                if event.type == "node.tokens":
                    handle.cancel()
            result = await handle.result()
        await asyncio.wait_for(server.gone.wait(), PATIENCE_S)
        assert result.status is RunStatus.CANCELLED
        assert result.usage is not None
        assert result.usage.calls == 1


async def test_the_key_is_nowhere_in_the_home(tmp_path: Path) -> None:
    said = Answers(400, {"Content-Type": "text/plain"}, f"your key {KEY} is bad".encode())
    async with ModelServer(
        Says(
            (
                f"I know {KEY[:9]}",
                f"{KEY[9:]} well",
            )
        ),
        said,
    ) as server:
        config = settings(server)
        async with opened(tmp_path, config) as symphony:
            result = await finished(symphony, chain(config))
        assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert result.error is not None
    assert "your key *** is bad" in result.error.message
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert b"hunter2" not in path.read_bytes(), path


async def test_a_resumed_run_counts_what_was_spent_before_it_was_killed(tmp_path: Path) -> None:
    async with ModelServer(Says(), Hangs()) as server:
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "config.toml").write_text(
            f'[models.chat]\nprovider = "openai"\nurl = "{server.url}"\nkey = "CHAT_KEY"\n'
        )
        config = settings(server)
        (tmp_path / "w.json").write_bytes(dumps(chain(config, 3), "json"))
        process = await asyncio.create_subprocess_exec(
            *SYMPHONY, "run", "w.json", "--budget", "calls=2", "--quiet",
            cwd=tmp_path, env=CommandLine(tmp_path).environment(),
        )  # fmt: skip
        async with asyncio.timeout(PATIENCE_S):
            while len(server.asked) < 2:
                server.came.clear()
                await server.came.wait()
        process.send_signal(signal.SIGKILL)
        await process.wait()
        async with Symphony.open(tmp_path / "home") as symphony:
            handle = await symphony.resume("last")
            result = await handle.result()
        assert result.error is not None
        assert (result.error.code, result.error.node) == ("budget-exceeded", "c")
        assert result.usage is not None
        assert result.usage.calls == 2


async def test_a_loop_has_used_what_its_rounds_used(tmp_path: Path) -> None:
    async with ModelServer() as server:
        config = settings(server)
        body = {"ask": {"instrument": "chat", "cache": "off", "inputs": {"prompt": "round ${{ iteration }}"}}}
        workflow = (
            WorkflowBuilder("rounds", catalog=catalog(config))
            .add_control("loop", name="again", state={"said": ""}, while_="iteration < 3",
                         next={"said": "ask.text"}, max_iterations=5, body=body)
            .output("said", "${{ again.said }}")
            .build()
        )  # fmt: skip
        async with opened(tmp_path, config) as symphony:
            result = await finished(symphony, workflow)
            short = await finished(symphony, workflow, Limits(calls=2))
    assert (result.status, result.outputs) == (RunStatus.SUCCEEDED, {"said": "Hello world"})
    assert result.usage is not None
    assert result.usage.calls == 3
    assert result.nodes["again"].usage == result.usage
    assert short.error is not None
    assert short.error.code == "budget-exceeded"


async def symphony_says(home: Path, *words: str) -> Ended:
    """Beside the loop, on which its model server answers."""
    line = CommandLine(home.parent, home, NO_COLOR="1")
    return await asyncio.to_thread(line.call, *words, timeout_s=PATIENCE_S)


async def test_a_model_is_added_shown_tried_and_used_from_the_command_line(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with ModelServer() as server:
        added = await symphony_says(
            home, "models", "add", "my.model", "--provider", "anthropic", "--url", server.url,
            "--key", "CHAT_KEY", "--price-in", "3", "--price-out", "15.50",
        )  # fmt: skip
        assert added[0] == 0
        assert KEY not in (home / "config.toml").read_text()
        shown = await symphony_says(home, "models", "show", "my.model", "--json")
        document = msgspec.json.decode(shown[1])
        assert document["settings"]["price"] == {"input": "3", "output": "15.50", "cached": None}
        assert (document["settings"]["key"], document["key_set"]) == ("CHAT_KEY", True)
        tried = await symphony_says(home, "models", "test", "my.model")
        assert tried[0] == 0
        assert "my.model answers: Hello world" in tried[1]
        assert "1 call, 10 + 2 tokens, 0.000061 USD" in tried[1]
        (tmp_path / "w.yaml").write_text(
            "name: W\nnodes:\n  a: {instrument: my.model, inputs: {prompt: Hi, max_tokens: 20}}\n"
            'outputs: {said: "${{ a.text }}"}\n'
        )
        ran = await symphony_says(home, "run", "w.yaml", "--quiet")
        assert ran[:2] == (0, "said = Hello world\n")
        assert "1 node; 1 call, 10 + 2 tokens, 0.000061 USD; run" in ran[2]
        refused = await symphony_says(
            home, "run", "w.yaml", "--no-cache", "--budget", "money=0.0001", "--json"
        )
        told = msgspec.json.decode(refused[1])
        assert (refused[0], told["error"]["code"]) == (1, "budget-exceeded")
        wrong = await symphony_says(home, "run", "w.yaml", "--budget", "euros=5")
        assert (wrong[0], "limits are money, tokens and calls" in wrong[2]) == (2, True)
        removed = await symphony_says(home, "models", "remove", "my.model")
        assert (removed[0], (home / "config.toml").read_text()) == (0, "")
        gone = await symphony_says(home, "models", "remove", "my.model")
        assert (gone[0], "there is no model 'my.model'" in gone[2]) == (2, True)


async def test_settings_that_a_provider_does_not_use_are_not_shown_as_if_they_counted(tmp_path: Path) -> None:
    home = tmp_path / "home"
    refused = await symphony_says(
        home, "models", "add", "m", "--provider", "llama", "--file", "m.gguf", "--requests-per-minute", "9"
    )
    assert (refused[0], "leave out --requests-per-minute" in refused[2]) == (2, True)
    assert not (home / "config.toml").exists()
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text('[models.m]\nprovider = "openai"\nthreads = 4\n')
    shown = await symphony_says(home, "models", "show", "m")
    settings_shown = shown[1].partition("settings:")[2]
    assert "stream = True" in settings_shown
    assert "set, but not used by openai: threads" in settings_shown
    assert not any(name in settings_shown for name in ("context =", "batch =", "threads ="))
    document = msgspec.json.decode((await symphony_says(home, "models", "show", "m", "--json"))[1])
    assert document["unused_settings"] == ["threads"]


async def test_settings_of_the_engine_are_heeded_and_wrong_ones_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "w.yaml").write_text("name: W\nnodes: {a: {command: echo hi}}\n")
    (home / "config.toml").write_text("[symphony]\nconcurrency = 3\n")
    assert (await symphony_says(home, "run", "w.yaml", "--quiet"))[0] == 0
    async with Symphony.open(home) as symphony:
        assert symphony.runs.meta(symphony.runs.find("last")).concurrency == 3
    (home / "config.toml").write_text("[symphony]\nconcurency = 3\n")
    status, _, said = await symphony_says(home, "run", "w.yaml", "--quiet")
    assert status == 2
    assert "config.toml: unknown key symphony.concurency" in said
    assert "did you mean concurrency?" in said
