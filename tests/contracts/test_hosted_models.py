"""What every adapter for a hosted model keeps to, over real HTTP, against a server that misbehaves."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fakes import Listener
from tests.support.waiting import PATIENCE_S, until

from symphony.commons.settings import ModelConfig, Price
from symphony.kit.instruments.hosted import http, retrying
from symphony.kit.instruments.hosted.models import HostedModels
from symphony.ports.models import ModelFailed, ModelUnavailable, Usage
from symphony.ports.values import Value
from symphony.testing import FakeClock
from symphony.testing.model_server import Answers, Drops, Hangs, ModelServer, Says

KEY = "sk-hunter2-hunter2"
PRICE = Price(input=Decimal("0.15"), output=Decimal("0.60"), cached=Decimal("0.075"))
SCHEMA: Value = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 1}},
    "required": ["n"],
    "additionalProperties": False,
}


Make = Callable[..., HostedModels]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as one:
        yield one


@pytest.fixture(params=["openai", "anthropic"])
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def make(provider: str, server: ModelServer, clock: FakeClock) -> AsyncIterator[Make]:
    made: list[HostedModels] = []

    def models(**settings: object) -> HostedModels:
        given = {"provider": provider, "url": server.url, "key": "KEY", "price": PRICE, **settings}
        config = ModelConfig(**given)  # type: ignore[arg-type]
        one = HostedModels(
            {"m": config}, currency="USD", clock=clock, chance=random.Random(1), environment={"KEY": KEY}
        )
        made.append(one)
        return one

    yield models
    for one in made:
        await one.close()


async def ask(models: HostedModels, listener: Listener | None = None, **inputs: Value) -> dict[str, Value]:
    async with asyncio.timeout(PATIENCE_S):
        found = await models.invoke("m", {"prompt": "Hi", **inputs}, {}, listener or Listener())
    return dict(found)


def error(status: int, message: str = "no", **headers: str) -> Answers:
    body = json.dumps({"error": {"message": message, "type": "x"}}).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answers(status, {"Content-Type": "application/json", **named}, body)


class TestAnswers:
    @pytest.mark.parametrize("stream", [True, False])
    async def test_text_usage_and_cost_come_from_the_answer(
        self, make: Make, server: ModelServer, stream: bool
    ) -> None:
        server.script.append(Says(("Guten", " Tag ", "ö"), tokens=(1000, 200, 400)))
        listener = Listener()
        answer = await ask(make(stream=stream), listener)
        assert (answer["text"], answer["finish_reason"], answer["json"]) == ("Guten Tag ö", "stop", None)
        cost = Decimal("0.00024")  # 600 at 0.15, 400 at 0.075, 200 at 0.60 a million
        assert listener.usages == [
            Usage(calls=1, tokens_in=1000, tokens_out=200, tokens_cached=400, cost=cost, currency="USD")
        ]
        assert isinstance(answer["usage"], dict)
        assert answer["usage"]["cost"] == "0.00024"
        assert listener.tokens == (["Guten", " Tag ", "ö"] if stream else ["Guten Tag ö"])

    async def test_what_is_reserved_is_at_least_what_the_request_can_use(self, make: Make) -> None:
        listener = Listener()
        await ask(make(), listener, prompt="word " * 100, max_tokens=50)
        assert listener.reserved[0].tokens_in >= 250
        assert listener.reserved[0].tokens_out == 50
        assert listener.reserved[0].cost == (
            listener.reserved[0].tokens_in * Decimal("0.15") + 50 * Decimal("0.60")
        ) / Decimal(1_000_000)

    async def test_conversation_system_and_settings_reach_the_server(
        self, make: Make, server: ModelServer, provider: str
    ) -> None:
        messages: list[Value] = [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b"},
            {"role": "user", "content": "c"},
        ]
        inputs: dict[str, Value] = {"messages": messages, "system": "be brief", "temperature": 0.5}
        await make(model="real-name").invoke("m", inputs, {"top_p": 0.9})
        asked = server.asked[0]
        assert asked.body["model"] == "real-name"
        assert (asked.body["temperature"], asked.body["top_p"], asked.body["max_tokens"]) == (0.5, 0.9, 1024)
        if provider == "openai":
            assert asked.body["messages"] == [{"role": "system", "content": "be brief"}, *messages]
            assert asked.headers["authorization"] == f"Bearer {KEY}"
        else:
            assert (asked.body["messages"], asked.body["system"]) == (messages, "be brief")
            assert asked.headers["x-api-key"] == KEY

    @pytest.mark.parametrize("stream", [True, False])
    async def test_an_answer_by_schema_is_a_checked_value(
        self, make: Make, server: ModelServer, stream: bool
    ) -> None:
        server.script.append(Says(('{"n"', ": 5}")))
        answer = await ask(make(stream=stream), schema=SCHEMA)
        assert answer["json"] == {"n": 5}
        body = server.asked[0].body
        assert "response_format" in body or "tool_choice" in body

    @pytest.mark.parametrize(
        ("said", "why"),
        [
            ('{"n": 0}', "n is 0, against minimum 1"),
            ('{"n": "5"}', "n is not of type integer"),
            ("{}", "n is missing"),
            ('{"n": 1, "x": 2}', "x should not be there"),
            ('{"n": 1', "is not JSON"),
        ],
    )
    async def test_an_answer_that_breaks_the_schema_is_told_with_its_place_and_paid(
        self, make: Make, server: ModelServer, said: str, why: str
    ) -> None:
        server.script.append(Says((said,)))
        listener = Listener()
        with pytest.raises(ModelFailed, match=why) as caught:
            await ask(make(), listener, schema=SCHEMA)
        assert caught.value.code == "model-output-invalid"
        assert [usage.calls for usage in listener.usages] == [1]

    async def test_json_that_was_cut_off_says_so(self, make: Make, server: ModelServer) -> None:
        server.script.append(Says(('{"n": 12',), finish="length"))
        with pytest.raises(ModelFailed, match="cut off at max_tokens"):
            await ask(make(), schema=SCHEMA)

    async def test_a_schema_that_cannot_be_checked_is_refused_before_anything_is_sent(
        self, make: Make, server: ModelServer
    ) -> None:
        with pytest.raises(ModelFailed, match=r"schema: properties.n.pattern is not supported"):
            await ask(make(), schema={"type": "object", "properties": {"n": {"pattern": "(a+)+$"}}})
        assert server.asked == []

    async def test_counts_that_no_provider_can_mean_are_made_numbers_that_can_be_kept(
        self, make: Make, server: ModelServer
    ) -> None:
        server.script.append(Says(("Hi",), tokens=(10**30, -5, 10**40)))
        listener = Listener()
        await ask(make(), listener)
        (usage,) = listener.usages
        assert 0 <= usage.tokens_cached <= usage.tokens_in <= 10**12
        assert usage.tokens_out == 0

    async def test_an_answer_without_counts_is_estimated(self, make: Make, server: ModelServer) -> None:
        server.script.append(Says(("word " * 50,), tokens=None))
        listener = Listener()
        await ask(make(stream=False), listener)
        assert listener.usages[0].tokens_out > 50 or listener.usages[0].tokens_in == 0
        assert listener.usages[0].calls == 1


class TestTrouble:
    @pytest.mark.parametrize("status", [429, 500, 503, 529, 408])
    async def test_what_may_pass_is_tried_again(
        self, make: Make, server: ModelServer, clock: FakeClock, status: int
    ) -> None:
        server.script += [error(status), error(status), Says(("ok",))]
        listener = Listener()
        assert (await ask(make(), listener))["text"] == "ok"
        assert len(clock.slept) == 2
        assert all(0 < seconds <= retrying.BASE_S * 2 for seconds in clock.slept)
        assert [usage.calls for usage in listener.usages] == [0, 0, 1]

    async def test_retry_after_is_heeded_in_seconds_and_as_a_date_and_capped(
        self, make: Make, server: ModelServer, clock: FakeClock
    ) -> None:
        date = formatdate(clock.now_s() + 7 + 30, usegmt=True)
        server.script += [
            error(429, Retry_After="7"),
            error(429, Retry_After=date),
            error(429, Retry_After="86400"),
        ]
        await ask(make())
        assert 7 <= clock.slept[0] <= 7.5
        assert 29 <= clock.slept[1] <= 31
        assert clock.slept[2] == retrying.CAP_S

    async def test_tries_come_to_an_end_with_the_providers_words(
        self, make: Make, server: ModelServer
    ) -> None:
        server.script += [error(429, "slow down")] * 5
        with pytest.raises(ModelFailed, match="answered 429: slow down") as caught:
            await ask(make(retries=2))
        assert (caught.value.code, len(server.asked)) == ("model-overloaded", 3)

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (429, "model-overloaded"), (503, "model-overloaded"), (529, "model-overloaded"),
            (408, "model-failed"), (500, "model-failed"), (502, "model-failed"), (504, "model-failed"),
        ],
    )  # fmt: skip
    async def test_a_fault_at_the_provider_is_not_called_overload(
        self, make: Make, server: ModelServer, status: int, code: str
    ) -> None:
        server.script += [error(status, "boom")] * 2
        with pytest.raises(ModelFailed, match=f"answered {status}: boom") as caught:
            await ask(make(retries=1))
        assert (caught.value.code, len(server.asked)) == (code, 2)

    @pytest.mark.parametrize(
        ("status", "code", "hint"),
        [
            (400, "model-refused", "inputs and config"),
            (401, "model-unauthorized", "key in KEY"),
            (403, "model-unauthorized", "key in KEY"),
            (404, "model-refused", "is there a model 'm'"),
            (302, "model-refused", "redirects are not followed"),
        ],
    )
    async def test_what_stays_is_told_at_once_and_never_shows_the_key(
        self, make: Make, server: ModelServer, status: int, code: str, hint: str
    ) -> None:
        server.script.append(error(status, f"bad key {KEY}"))
        with pytest.raises(ModelFailed, match=r"bad key \*\*\*") as caught:
            await ask(make())
        assert (caught.value.code, len(server.asked)) == (code, 1)
        assert hint in (caught.value.hint or "")
        assert "hunter2" not in repr(caught.value)

    async def test_a_connection_that_drops_before_the_answer_is_tried_again(
        self, make: Make, server: ModelServer
    ) -> None:
        server.script += [Drops(), Says(("ok",))]
        assert (await ask(make()))["text"] == "ok"

    async def test_nobody_at_the_address_is_told(self, make: Make) -> None:
        with pytest.raises(ModelFailed, match=r"cannot connect to m at http://127\.0\.0\.1:1/v1") as caught:
            await ask(make(url="http://127.0.0.1:1/v1", retries=1))
        assert caught.value.code == "model-unreachable"

    @pytest.mark.parametrize("how", ["cut", "torn"])
    async def test_a_stream_that_breaks_after_tokens_is_never_asked_again_and_is_counted(
        self, make: Make, server: ModelServer, how: str
    ) -> None:
        server.script.append(Says(("one", " two"), **{how: True}))
        listener = Listener()
        with pytest.raises(ModelFailed, match="broke") as caught:
            await ask(make(), listener)
        assert (caught.value.code, len(server.asked)) == ("model-answer-broken", 1)
        assert listener.tokens == ["one", " two"]
        assert listener.usages[0].estimated
        assert listener.usages[0].tokens_out >= 2

    async def test_a_stream_that_breaks_before_any_token_is_asked_again(
        self, make: Make, server: ModelServer
    ) -> None:
        server.script += [Says((), cut=True), Says(("ok",))]
        listener = Listener()
        assert (await ask(make(), listener))["text"] == "ok"
        assert [usage.calls for usage in listener.usages] == [1, 1]

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            (Answers(200, {"Content-Type": "text/html"}, b"<h1>Hi</h1>"), "answered with text/html"),
            (Answers(200, {}, b"?"), "answered with no type"),
            (
                Answers(200, {"Content-Type": "text/event-stream"}, b"data: {oops\n\n"),
                "an event of the stream is not what the interface promises",
            ),
            (Answers(200, {"Content-Type": "text/event-stream"}, b"data: [1]\n\n"), "is not what"),
            (
                Answers(200, {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}, b"x"),
                "packs its answer",
            ),
            (
                Answers(200, {"Content-Type": "text/event-stream"}, b"x" * 65536, repeat=64),
                "1 MiB in one event",
            ),
        ],
    )
    async def test_what_is_no_stream_is_told_once(
        self, make: Make, server: ModelServer, answer: Answers, why: str
    ) -> None:
        server.script.append(answer)
        with pytest.raises(ModelFailed, match=why) as caught:
            await ask(make())
        assert (caught.value.code, len(server.asked)) == ("model-answer-broken", 1)
        assert caught.value.hint

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (b"{", "is not what the interface promises"),
            (b"[]", "is not what the interface promises"),
            (b'{"choices": [], "content": []}', "holds no"),
            (b"[" * 200_000, "is not what the interface promises"),
            (b'"\xff"', "is not what the interface promises"),
        ],
    )
    async def test_what_is_no_answer_is_told_once(
        self, make: Make, server: ModelServer, body: bytes, why: str
    ) -> None:
        server.script.append(Answers(200, {"Content-Type": "application/json"}, body))
        with pytest.raises(ModelFailed, match=why) as caught:
            await ask(make(stream=False))
        assert (caught.value.code, len(server.asked)) == ("model-answer-broken", 1)

    async def test_a_giant_answer_is_given_up(
        self, make: Make, server: ModelServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http, "BODY_BYTES_MAX", 1_000_000)
        server.script.append(Answers(200, {"Content-Type": "application/json"}, b" " * 65536, repeat=10_000))
        with pytest.raises(ModelFailed, match="sends more than"):
            await ask(make(stream=False))

    async def test_silence_before_the_first_byte_ends(self, make: Make, server: ModelServer) -> None:
        server.script.append(Hangs())
        with pytest.raises(ModelFailed, match=r"no answer within 0\.1 s") as caught:
            await ask(make(first_byte_timeout=0.1, connect_timeout=1.0, retries=0))
        assert caught.value.code == "model-timeout"
        assert "first_byte_timeout" in (caught.value.hint or "")

    async def test_silence_between_tokens_ends(self, make: Make, server: ModelServer) -> None:
        server.script.append(Says(("one",), stall=True))
        with pytest.raises(ModelFailed, match=r"nothing came for 0\.1 s") as caught:
            await ask(make(idle_timeout=0.1))
        assert "idle_timeout" in (caught.value.hint or "")
        await asyncio.wait_for(server.gone.wait(), PATIENCE_S)

    async def test_a_cancelled_call_closes_the_stream_and_is_counted(
        self, make: Make, server: ModelServer
    ) -> None:
        server.script.append(Says(("one", "two"), stall=True))
        listener = Listener()
        call = asyncio.ensure_future(ask(make(), listener))
        await asyncio.wait_for(listener.first.wait(), PATIENCE_S)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(server.gone.wait(), PATIENCE_S)
        assert (listener.usages[0].calls, listener.usages[0].estimated) == (1, True)


class TestLimits:
    async def test_a_caller_that_refuses_keeps_the_request_from_being_made(
        self, make: Make, server: ModelServer
    ) -> None:
        with pytest.raises(ModelFailed, match="enough"):
            await ask(make(), Listener(most=0))
        assert server.asked == []

    async def test_no_more_calls_run_at_once_than_allowed(self, make: Make, server: ModelServer) -> None:
        models = make(concurrency=2)
        await asyncio.gather(*(ask(models) for _ in range(8)))
        assert server.most_at_once == 2

    async def test_requests_a_minute_are_spread(self, make: Make, clock: FakeClock) -> None:
        models = make(requests_per_minute=60)
        for _ in range(62):
            await ask(models)
        assert clock.slept == pytest.approx([1.0, 1.0], abs=0.01)

    async def test_tokens_a_minute_count_what_was_used(self, make: Make, clock: FakeClock) -> None:
        models = make(tokens_per_minute=3000)
        for _ in range(20):  # each may need 1,042, and needs 12
            await ask(models)
        assert clock.slept == []


class TestMisuse:
    async def test_a_key_that_is_not_set_is_named(self, server: ModelServer, clock: FakeClock) -> None:
        config = ModelConfig(provider="openai", url=server.url, key="MY_KEY")
        models = HostedModels(
            {"m": config}, currency="USD", clock=clock, chance=random.Random(1), environment={}
        )
        with pytest.raises(ModelUnavailable, match="the variable MY_KEY, which is not set"):
            await ask(models)
        await models.close()

    @pytest.mark.parametrize(
        ("inputs", "code"),
        [
            ({}, "type-mismatch"),
            ({"prompt": "a", "messages": []}, "type-mismatch"),
            ({"messages": [{"role": "robot", "content": "x"}]}, "type-mismatch"),
            ({"messages": [{"role": "system", "content": "x"}]}, "type-mismatch"),
            ({"prompt": "a", "temperature": 3}, "type-mismatch"),
            ({"prompt": "a", "max_tokens": 0}, "type-mismatch"),
            ({"prompt": "a", "colour": 1}, "unknown-port"),
            ({"prompt": "\ud800"}, "type-mismatch"),
        ],
    )
    async def test_wrong_inputs_are_told_before_anything_is_sent(
        self, make: Make, server: ModelServer, inputs: dict[str, Value], code: str
    ) -> None:
        with pytest.raises(ModelFailed) as caught:
            await make().invoke("m", inputs, {})
        assert (caught.value.code, server.asked) == (code, [])

    async def test_config_cannot_replace_what_the_adapter_sets(self, make: Make) -> None:
        with pytest.raises(ModelFailed, match="config cannot set 'model'"):
            await make().invoke("m", {"prompt": "a"}, {"model": "other"})

    async def test_an_unknown_model_is_refused_with_those_that_exist(self, make: Make) -> None:
        with pytest.raises(ModelUnavailable, match="no model 'gpt'") as caught:
            await make().invoke("gpt", {}, {})
        assert caught.value.hint == "models here: m"

    async def test_after_close_nothing_is_answered(self, make: Make) -> None:
        models = make()
        await models.close()
        with pytest.raises(ModelUnavailable):
            await ask(models)


class TestEmbeddings:
    @pytest.fixture
    def provider(self) -> str:
        return "openai"

    async def test_vectors_come_in_order_and_in_batches(self, make: Make, server: ModelServer) -> None:
        listener = Listener()
        texts: list[Value] = ["x" * at for at in range(10)]
        found = await make(kind="embedding", batch=4).invoke("m", {"texts": texts}, {}, listener)
        assert found["vectors"] == [[float(at), 1.0] for at in range(10)]
        sizes = [len(asked.body["input"]) for asked in server.asked]  # type: ignore[arg-type]
        assert sizes == [4, 4, 2]
        assert [usage.tokens_in for usage in listener.usages] == [10, 10, 10]

    async def test_no_texts_need_no_request(self, make: Make, server: ModelServer) -> None:
        found = await make(kind="embedding").invoke("m", {"texts": []}, {})
        assert (found["vectors"], server.asked) == ([], [])

    @pytest.mark.parametrize(
        ("data", "why"),
        [
            ("[]", "0 vectors came for 1 texts"),
            ('[{"index": 1, "embedding": [1]}]', "1 vectors came for 1 texts"),
            ('[{"index": 0, "embedding": []}]', "different lengths, or none"),
            ('[{"index": 0, "embedding": ["a"]}]', "is not what the interface promises"),
        ],
    )
    async def test_wrong_vectors_are_told(self, make: Make, server: ModelServer, data: str, why: str) -> None:
        server.script.append(
            Answers(200, {"Content-Type": "application/json"}, f'{{"data": {data}}}'.encode())
        )
        with pytest.raises(ModelFailed, match=why):
            await make(kind="embedding").invoke("m", {"texts": ["a"]}, {})

    async def test_a_failed_batch_alone_is_asked_again(self, make: Make, server: ModelServer) -> None:
        server.script += [Says(), error(503)]
        found = await make(kind="embedding", batch=1).invoke("m", {"texts": ["a", "bb"]}, {})
        assert found["vectors"] == [[1.0, 1.0], [2.0, 1.0]]
        assert len(server.asked) == 3


def test_a_date_that_is_past_and_what_says_nothing_ask_for_no_wait() -> None:
    assert retrying.retry_after_s(formatdate(900, usegmt=True), 1000.0) == 0.0
    assert retrying.retry_after_s("soon", 0.0) is None
    assert retrying.retry_after_s(None, 0.0) is None
    assert retrying.retry_after_s("1.5", 0.0) == 1.5


@given(st.text())
def test_whatever_retry_after_says_the_wait_is_bounded(header: str) -> None:
    asked = retrying.retry_after_s(header, 0.0)
    assert asked is None or 0 <= asked <= retrying.CAP_S
    assert 0 <= retrying.delay_s(3, asked, 1.0) <= retrying.CAP_S


class TestCircuit:
    """An endpoint that is ill is left alone, asked once after a while, and then by all again."""

    async def test_it_opens_probes_and_closes_again(
        self, make: Make, server: ModelServer, clock: FakeClock
    ) -> None:
        server.script += [error(503)] * 3 + [Says(("well",))]
        models = make(retries=0, circuit_failures=3, circuit_seconds=30.0)
        for _ in range(3):
            with pytest.raises(ModelFailed, match="503"):
                await ask(models)
        with pytest.raises(ModelFailed, match="3 requests in a row failed") as refused:
            await ask(models)
        assert refused.value.code == "model-circuit-open"
        assert len(server.asked) == 3
        clock.advance(31.0)
        assert (await ask(models))["text"] == "well"
        assert (await ask(models))["finish_reason"] == "stop"

    async def test_a_call_waits_for_the_probe_by_its_own_tries(
        self, make: Make, server: ModelServer, clock: FakeClock
    ) -> None:
        server.script += [error(500), error(500), Says(("well",))]
        models = make(retries=3, circuit_failures=2, circuit_seconds=30.0)
        begun_s = clock.monotonic_s()
        assert (await ask(models))["text"] == "well"
        assert clock.monotonic_s() - begun_s >= 30.0
        assert len(server.asked) == 3

    @pytest.mark.parametrize("status", [400, 404, 429])
    async def test_refusals_open_no_circuit(self, make: Make, server: ModelServer, status: int) -> None:
        server.script += [error(status)] * 5 + [Says(("well",))]
        models = make(retries=0, circuit_failures=2)
        for _ in range(5):
            with pytest.raises(ModelFailed, match=str(status)):
                await ask(models)
        assert (await ask(models))["text"] == "well"

    async def test_an_address_where_nobody_listens_is_ill(self, make: Make) -> None:
        models = make(url="http://127.0.0.1:1/v1", retries=0, circuit_failures=2)
        codes: list[str] = []
        for _ in range(3):
            with pytest.raises(ModelFailed) as failed:
                await ask(models)
            codes.append(failed.value.code)
        assert codes == ["model-unreachable", "model-unreachable", "model-circuit-open"]

    async def test_retry_after_keeps_it_open_for_longer(
        self, make: Make, server: ModelServer, clock: FakeClock
    ) -> None:
        server.script += [error(503, Retry_After="50"), Says(("well",))]
        models = make(retries=0, circuit_failures=1, circuit_seconds=5.0)
        with pytest.raises(ModelFailed, match="503"):
            await ask(models)
        clock.advance(49.0)
        with pytest.raises(ModelFailed, match="is not asked for another 1 s"):
            await ask(models)
        clock.advance(1.5)
        assert (await ask(models))["text"] == "well"

    async def test_those_who_come_meanwhile_wait_for_the_probe(
        self, make: Make, server: ModelServer, clock: FakeClock
    ) -> None:
        server.script += [error(503), Hangs()]
        models = make(retries=0, circuit_failures=1, circuit_seconds=5.0)
        with pytest.raises(ModelFailed, match="503"):
            await ask(models)
        clock.advance(6.0)
        probe = asyncio.ensure_future(ask(models))
        await until(lambda: len(server.asked) == 2)
        others = [asyncio.ensure_future(ask(models)) for _ in range(3)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(server.asked) == 2
        probe.cancel()  # says nothing of the endpoint: the next one is the probe
        for other in others:
            assert (await other)["finish_reason"] == "stop"
