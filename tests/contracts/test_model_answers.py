"""Answers as servers that speak a provider's interface really give them, and what is taken from them."""
# ruff: noqa: E501  (their answers read best as they come)

import json
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from symphony.commons.contexts import Setting
from symphony.commons.deadline import Allowance, _allowance
from symphony.commons.settings import ModelConfig
from symphony.kit.instruments.hosted import reading
from symphony.kit.instruments.hosted.models import HostedModels
from symphony.kit.instruments.hosted.prices import tokens_at_most
from symphony.ports.models import ModelFailed
from symphony.ports.values import Value
from symphony.testing import FakeClock
from symphony.testing.model_server import Answers, ModelServer, Says

JSON, STREAM = {"Content-Type": "application/json"}, {"Content-Type": "text/event-stream"}
Make = Callable[..., HostedModels]


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with ModelServer() as one:
        yield one


@pytest.fixture
async def make(server: ModelServer) -> AsyncIterator[Make]:
    made: list[HostedModels] = []

    def models(provider: str = "openai", **settings: Any) -> HostedModels:
        config = ModelConfig(provider=provider, url=server.url, key="KEY", **settings)  # type: ignore[arg-type]
        made.append(
            HostedModels(
                {"m": config},
                currency="USD",
                clock=FakeClock(),
                chance=random.Random(1),
                environment={"KEY": "sk-hunter2"},
            )
        )
        return made[-1]

    yield models
    for one in made:
        await one.close()


def events(*said: Any, end: str = "data: [DONE]\n\n") -> bytes:
    lines = (one if isinstance(one, str) else f"data: {json.dumps(one)}\n\n" for one in said)
    return ("".join(lines) + end).encode()


def delta(content: Any, finish: Any = None, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": content}, "finish_reason": finish}], **more}


def whole(content: Any, finish: Any = "stop", **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], **more}


USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}

STREAMS = {
    # As the servers' own pages show them, shortened.
    "openai": [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "", "refusal": None},
                      "logprobs": None, "finish_reason": None}], "usage": None, "obfuscation": "x"},
        delta("ok", usage=None), {**STOP, "usage": None}, {"choices": [], "usage": {
            **USAGE, "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0}}},
    ],
    "azure": [
        {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": [
            {"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}]},
        {"choices": [{"content_filter_results": {}, "delta": {"content": "", "role": "assistant"},
                      "finish_reason": None, "index": 0}]},
        delta("ok"), {"choices": [{"content_filter_offsets": {}, "finish_reason": None, "index": 0}]},
        STOP, {"choices": [], "usage": USAGE},
    ],
    "vllm": [
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "", "reasoning_content": None},
                      "logprobs": None, "finish_reason": None}], "prompt_token_ids": None},
        {"choices": [{"index": 0, "delta": {"content": "ok"}, "finish_reason": None, "token_ids": None}],
         "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}},
        {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop", "stop_reason": None}]},
        {"choices": [], "usage": {**USAGE, "prompt_tokens_details": None}},
    ],
    "ollama": [
        {"id": "chatcmpl-1", "system_fingerprint": "fp_ollama", **delta("ok")},
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": "stop"}]},
        {"choices": [], "usage": USAGE},
    ],
    "llama.cpp": [
        {"choices": [{"finish_reason": None, "index": 0, "delta": {"role": "assistant", "content": None}}]},
        delta("ok"),
        {**STOP, "usage": USAGE, "timings": {"prompt_n": 5, "predicted_per_second": 88.1}},
    ],
    "lm studio": [delta("ok", stats={}), STOP, {"choices": [], "usage": USAGE}],
    "mistral": [
        delta([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]),
        delta([{"type": "text", "text": "ok"}]), {**STOP, "usage": USAGE, "p": "abc"},
    ],
    "groq": [
        {**delta(""), "x_groq": {"id": "req_1"}}, delta("ok"), {**STOP, "x_groq": {"id": "req_1", "usage": {
            "queue_time": 0.01, **USAGE, "total_time": 0.002}}},
    ],
    "openrouter": [
        ": OPENROUTER PROCESSING\n\n", {"provider": "X", **delta("ok")},
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None,
                      "native_finish_reason": None}],
         "usage": {**USAGE, "cost": 0.00014, "is_byok": False, "cost_details": {"upstream_inference_cost": None}}},
        STOP,
    ],
    "deepseek": [
        delta(None, reasoning_content="hm"), delta("ok", reasoning_content=None),
        {**STOP, "usage": {**USAGE, "prompt_cache_hit_tokens": 0, "prompt_cache_miss_tokens": 5}},
    ],
    "moonshot": [delta("ok"), {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": USAGE}]}],
    # What was met, and its siblings.
    "nulls": [{"choices": None}, {"choices": [None]}, {"choices": [{"delta": None}]}, {}, delta("ok"), STOP,
              {"choices": None, "usage": USAGE}],
    "other types": [{"choices": [{"delta": {"content": "ok", "tool_calls": None, "role": 7, "refusal": False},
                                  "index": "0", "finish_reason": 0, "logprobs": []}], "id": None, "created": 1.5},
                    STOP, {"usage": {"prompt_tokens": 5.0, "completion_tokens": "2", "total_tokens": None}}],
    "no errors": [delta("ok", error=None), delta("", error={}), delta("", error=""), delta("", error=False),
                  {**STOP, "usage": USAGE}],
    "not quite json": ['data: {"choices": [{"delta": {"content": "ok"}, "logprobs": NaN}], "x": 1e999}\n\n',
                       STOP, {"usage": USAGE}],
    "no finish": [delta("ok"), {"usage": USAGE}],
    "empty finish": [delta("ok", ""), delta("", "stop"), {"usage": USAGE}],
    "legacy": [{"choices": [{"index": 0, "text": "ok"}]}, STOP, {"usage": USAGE}],
    "crlf": [": ping\r\n\r\n", 'data: {"choices": [{"delta": {"content": "ok"}}]}\r\n\r\n', STOP, {"usage": USAGE}],
    "no spaces": ['data:{"choices":[{"delta":{"content":"ok"}}]}\n\n', STOP, {"usage": USAGE}, "data:[DONE]\n\n"],
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
async def test_a_stream_of_a_server_that_is_compatible_is_read(
    make: Make, server: ModelServer, name: str
) -> None:
    server.script.append(Answers(200, STREAM, events(*STREAMS[name])))
    answer = await make().invoke("m", {"prompt": "hi"}, {})
    assert (answer["text"], answer["finish_reason"]) == ("ok", "stop")
    assert isinstance(answer["usage"], dict)
    assert (answer["usage"]["tokens_in"], answer["usage"]["tokens_out"]) == (5, 2)
    assert len(server.asked) == 1


WHOLES = {
    "plain": whole("ok", usage=USAGE),
    "parts": whole([{"type": "text", "text": "o"}, {"type": "text", "text": "k"}], usage=USAGE),
    "parts of other kinds": whole([{"type": "thinking"}, {"type": "text", "text": None}, "ok", None], usage=USAGE),
    "nulls": {"error": None, **whole("ok", None), "usage": {**USAGE, "prompt_tokens_details": None}},
    "floats": whole("ok", usage={"prompt_tokens": 5.0, "completion_tokens": 2.0}),
    "one from the total": whole("ok", usage={"prompt_tokens": None, "completion_tokens": 2, "total_tokens": 7}),
    "legacy": {"choices": [{"text": "ok"}], "usage": USAGE},
    "tools": {"choices": [{"message": {"content": "ok", "tool_calls": None, "annotations": []}}], "usage": USAGE},
    "perplexity": whole("ok", usage=USAGE, citations=["https://example.org"], search_results=None),
}  # fmt: skip


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("name", WHOLES)
async def test_an_answer_that_comes_whole_is_read_also_where_a_stream_was_asked_for(
    make: Make, server: ModelServer, name: str, streamed: bool
) -> None:
    server.script.append(Answers(200, JSON, json.dumps(WHOLES[name]).encode()))
    answer = await make(stream=streamed).invoke("m", {"prompt": "hi"}, {})
    assert (answer["text"], answer["finish_reason"]) == ("ok", "stop")
    assert isinstance(answer["usage"], dict)
    assert (answer["usage"]["tokens_in"], answer["usage"]["tokens_out"]) == (5, 2)


@pytest.mark.parametrize(
    "usage",
    [None, {}, [], "?", {"prompt_tokens": None, "completion_tokens": 2}, {"prompt_tokens": 5},
     {"prompt_tokens": "many", "completion_tokens": 2}, {"prompt_tokens": float("inf"), "completion_tokens": 2}],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("streamed", [True, False])
async def test_counts_that_do_not_suffice_are_estimated(
    make: Make, server: ModelServer, usage: Any, streamed: bool
) -> None:
    body = events(delta("ok"), {**STOP, "usage": usage}) if streamed else json.dumps(whole("ok", usage=usage))
    server.script.append(
        Answers(200, STREAM if streamed else JSON, body if isinstance(body, bytes) else body.encode())
    )
    answer = await make(stream=streamed).invoke("m", {"prompt": "hi"}, {})
    assert answer["text"] == "ok"
    assert isinstance(answer["usage"], dict)
    assert answer["usage"]["tokens_in"] == tokens_at_most(["hi"])


@pytest.mark.parametrize("kind", ["application/x-ndjson", "text/plain; charset=utf-8", "Text/Event-Stream"])
async def test_a_stream_under_another_name_is_read(make: Make, server: ModelServer, kind: str) -> None:
    server.script.append(Answers(200, {"Content-Type": kind}, events(delta("ok"), STOP)))
    assert (await make().invoke("m", {"prompt": "hi"}, {}))["text"] == "ok"


@pytest.mark.parametrize("charset", ["punycode", "utf-16", "idna", "nonsense", "latin-1"])
async def test_a_stream_is_utf_8_whatever_it_says(make: Make, server: ModelServer, charset: str) -> None:
    body = 'data: {"choices": [{"delta": {"content": "é日"}, "finish_reason": "stop"}]}\n\n'.encode()
    server.script.append(Answers(200, {"Content-Type": f"text/event-stream; charset={charset}"}, body))
    assert (await make().invoke("m", {"prompt": "hi"}, {}))["text"] == "é日"


async def test_halves_of_a_character_in_two_events_are_put_together(make: Make, server: ModelServer) -> None:
    parts = ["a\ud83d", "\ude42b", "\ud83d", "c", "\ude42", "\ud83d"]
    server.script.append(Answers(200, STREAM, events(*map(delta, parts), STOP)))
    answer = await make().invoke("m", {"prompt": "hi"}, {})
    assert answer["text"] == "a🙂b\ufffdc\ufffd\ufffd"
    server.script.append(Answers(200, JSON, json.dumps(whole("a\ud83d")).encode()))
    assert (await make(stream=False).invoke("m", {"prompt": "hi"}, {}))["text"] == "a\ufffd"


def block(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, **more}


TALKS = {
    "plain": [
        block("message_start", message={"usage": {"input_tokens": 5, "output_tokens": 1}}),
        block("content_block_start", index=0, content_block=block("text", text="")),
        block("ping"),
        block("content_block_delta", delta=block("text_delta", text="ok")),
        block("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2}),
        block("message_stop"),
    ],
    "thinking and unknown blocks": [
        block("message_start", message={"usage": {"input_tokens": 5.0, "output_tokens": 1,
            "cache_creation": {"ephemeral_5m_input_tokens": 0}, "service_tier": "standard"}}),
        block("content_block_start", content_block=block("thinking", thinking="", signature="")),
        block("content_block_delta", delta=block("thinking_delta", thinking="hm")),
        block("content_block_delta", delta=block("signature_delta", signature="abc")),
        block("content_block_start", content_block=block("server_tool_use", id="x", input={})),
        block("content_block_delta", delta=block("citations_delta", citation={"type": "x"}, text=7)),
        block("content_block_delta", delta=block("text_delta", text="ok")),
        block("something_new", delta=[1], usage="?"),
        block("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None},
              usage={"input_tokens": None, "output_tokens": 2, "server_tool_use": {"web_search_requests": 1}}),
        block("message_stop"),
    ],
    "nulls": [
        block("message_start", message=None), block("ping", delta=None, message=None, error=None),
        block("message_start", message={"content": None, "usage": {"input_tokens": 5, "output_tokens": None}}),
        block("content_block_start", content_block=None),
        block("content_block_delta", delta=None), block("content_block_delta", delta=block("text_delta", text=None)),
        block("content_block_delta", delta=block("text_delta", text="ok")),
        block("message_delta", delta=None, usage=None),
        block("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 2}),
        block("message_stop"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", TALKS)
async def test_a_streamed_message_is_read(make: Make, server: ModelServer, name: str) -> None:
    server.script.append(Answers(200, STREAM, events(*TALKS[name], end="")))
    answer = await make("anthropic").invoke("m", {"prompt": "hi"}, {})
    assert (answer["text"], answer["finish_reason"]) == ("ok", "stop")
    assert isinstance(answer["usage"], dict)
    assert (answer["usage"]["tokens_in"], answer["usage"]["tokens_out"]) == (5, 2)


COUNTED = {"input_tokens": 5, "output_tokens": 2}


@pytest.mark.parametrize(
    "message",
    [
        {"content": [block("text", text="ok")], "stop_reason": None, "usage": COUNTED},
        {"content": [block("thinking", thinking="hm", signature="x"), block("text", text="ok", citations=None),
                     block("redacted_thinking", data="x"), block("new", text=["no"], input=None)],
         "stop_reason": "end_turn", "stop_sequence": None, "usage": {**COUNTED, "cache_read_input_tokens": None}},
        {"content": "ok", "usage": {"input_tokens": 5.0, "output_tokens": "2"}},
        {"content": [None, "ok"], "usage": COUNTED, "container": None, "context_management": None},
    ],
    ids=range(4),
)  # fmt: skip
@pytest.mark.parametrize("streamed", [True, False])
async def test_a_whole_message_is_read(make: Make, server: ModelServer, message: Any, streamed: bool) -> None:
    server.script.append(Answers(200, JSON, json.dumps(message).encode()))
    answer = await make("anthropic", stream=streamed).invoke("m", {"prompt": "hi"}, {})
    assert (answer["text"], answer["finish_reason"]) == ("ok", "stop")
    assert isinstance(answer["usage"], dict)
    assert (answer["usage"]["tokens_in"], answer["usage"]["tokens_out"]) == (5, 2)


UNPAID = [
    (429, {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota",
                     "code": "insufficient_quota"}}),
    (429, {"error": {"message": "x", "type": "insufficient_quota", "code": None}}),
    (429, {"error": {"message": "Your account is suspended", "type": "exceeded_current_quota_error"}}),
    (402, {"error": {"message": "Insufficient Balance", "type": "unknown_error", "code": "invalid_request_error"}}),
    (402, {"error": {"code": 402, "message": "This request requires more credits"}}),
    (402, {}),
    (400, {"type": "error", "error": {"type": "invalid_request_error",
                                      "message": "Your credit balance is too low to access the Anthropic API."}}),
    (403, {"type": "error", "error": {"type": "billing_error", "message": "x"}}),
    (429, [{"error": {"code": 429, "message": "x", "status": "insufficient_quota"}}]),
]  # fmt: skip


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
@pytest.mark.parametrize(("status", "body"), UNPAID, ids=range(len(UNPAID)))
async def test_what_money_alone_can_mend_is_not_asked_again(
    make: Make, server: ModelServer, provider: str, status: int, body: Value
) -> None:
    server.script.append(Answers(status, JSON, json.dumps(body).encode()))
    with pytest.raises(ModelFailed, match=str(status)) as caught:
        await make(provider, retries=2).invoke("m", {"prompt": "hi"}, {})
    assert (caught.value.code, len(server.asked)) == ("model-unpaid", 1)
    assert caught.value.hint == reading.UNPAID_HINT


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (429, {}, {"error": {"message": "Rate limit reached for requests", "type": "requests",
                             "code": "rate_limit_exceeded"}}),
        (429, {}, {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message":
                             "You exceeded your current quota, please check your plan and billing details."}}),
        (429, {}, {"error": {"code": "429", "message": "Please retry after 6 seconds."}}),
        (429, {}, {"object": "error", "message": "Requests rate limit exceeded", "type": "rate_limited"}),
        (402, {"Retry-After": "1"}, {"error": {"code": 402, "message": "in-flight budget"}}),
        (529, {}, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        (503, {}, {"error": "model is loading", "estimated_time": 20.0}),
    ],
)  # fmt: skip
async def test_what_passes_is_asked_again(
    make: Make, server: ModelServer, status: int, headers: dict[str, str], body: Value
) -> None:
    server.script += [Answers(status, {**JSON, **headers}, json.dumps(body).encode()), Says(("ok",))]
    assert (await make().invoke("m", {"prompt": "hi"}, {}))["text"] == "ok"


@pytest.mark.parametrize("told", ["45", None])
async def test_a_wait_beyond_the_nodes_own_timeout_shows_what_the_provider_said(
    make: Make, server: ModelServer, told: str | None
) -> None:
    headers = JSON if told is None else {**JSON, "Retry-After": told}
    server.script += [Answers(429, headers, b'{"error": "slow down"}')] * 3
    left = Allowance(40 if told else 0.0, lambda: None)  # which ends nothing here
    with Setting(_allowance, left), pytest.raises(ModelFailed, match="answered 429: slow down"):
        await make().invoke("m", {"prompt": "hi"}, {})
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("error", "code", "tries"),
    [
        ({"message": "boom", "code": 500}, "model-failed", 3),
        ({"message": None, "code": 500.0}, "model-failed", 3),
        ({"message": "boom", "code": 503}, "model-overloaded", 3),
        ({"message": "boom", "type": "overloaded_error"}, "model-overloaded", 3),
        ({"message": "boom", "code": "rate_limit_exceeded"}, "model-overloaded", 3),
        ("boom", "model-failed", 3),
        (["boom"], "model-failed", 3),
        ({"code": 402, "message": "Insufficient credits"}, "model-unpaid", 1),
        ({"code": "insufficient_quota"}, "model-unpaid", 1),
        ({"code": 400, "message": "too long"}, "model-refused", 1),
        ({"code": 401, "message": "no"}, "model-unauthorized", 1),
    ],
    ids=repr,
)
@pytest.mark.parametrize("streamed", [True, False])
async def test_an_error_under_status_200_is_told_for_what_it_is(
    make: Make, server: ModelServer, error: Any, code: str, tries: int, streamed: bool
) -> None:
    body = events({"error": error, "choices": []}) if streamed else json.dumps({"error": error}).encode()
    server.script += [Answers(200, STREAM if streamed else JSON, body)] * 3
    with pytest.raises(ModelFailed, match="the provider broke off") as caught:
        await make(stream=streamed, retries=2).invoke("m", {"prompt": "hi"}, {})
    assert (caught.value.code, len(server.asked)) == (code, tries)


@pytest.mark.parametrize(
    ("data", "usage"),
    [
        ([{"embedding": [1, 2]}, {"embedding": [3.5, 4]}], None),
        (
            [{"index": 0.0, "embedding": [1, 2]}, {"index": 1.0, "embedding": [3.5, 4]}],
            {"prompt_tokens": 5.0},
        ),
        ([{"index": None, "embedding": [1, 2]}, {"index": None, "embedding": [3.5, 4]}], {}),
        ([{"index": 1, "embedding": [[3.5, 4]], "object": None}, {"index": 0, "embedding": [[1, 2]]}], None),
    ],
    ids=range(4),
)
async def test_vectors_are_read_in_every_spelling(
    make: Make, server: ModelServer, data: Any, usage: Any
) -> None:
    server.script.append(Answers(200, JSON, json.dumps({"data": data, "usage": usage}).encode()))
    found = await make(kind="embedding").invoke("m", {"texts": ["a", "b"]}, {})
    assert found["vectors"] == [[1.0, 2.0], [3.5, 4.0]]


@pytest.mark.parametrize(
    "vector", [[float("nan"), 1], [None, 1], [True, 1], ["1", 2], {}, "AACAPw==", [[1], [2]]], ids=repr
)
async def test_what_is_no_vector_is_told(make: Make, server: ModelServer, vector: Any) -> None:
    body = json.dumps({"data": [{"index": 0, "embedding": vector}]}).encode()
    server.script.append(Answers(200, JSON, body))
    with pytest.raises(ModelFailed) as caught:
        await make(kind="embedding").invoke("m", {"texts": ["a"]}, {})
    assert caught.value.code == "model-answer-broken"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"x", 2**70, [b"x"], "\ud800"], ids=repr)
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
async def test_what_a_request_cannot_say_is_refused_and_not_changed(
    make: Make, server: ModelServer, provider: str, value: Any
) -> None:
    for inputs, config in (
        ({}, {"top_p": value}),
        ({"schema": {"type": "object", "properties": {"a": {"enum": [value]}}}}, {}),
    ):
        with pytest.raises(ModelFailed) as caught:
            await make(provider).invoke("m", {"prompt": "hi", **inputs}, config)
        assert (caught.value.code, server.asked) == ("type-mismatch", [])


async def test_cookies_are_neither_kept_nor_sent(make: Make, server: ModelServer) -> None:
    server.script.append(
        Answers(200, {**JSON, "Set-Cookie": "a=1; Path=/"}, json.dumps(whole("ok")).encode())
    )
    models = make(stream=False)
    for _ in range(2):
        await models.invoke("m", {"prompt": "hi"}, {})
    assert [asked.headers.get("cookie") for asked in server.asked] == [None, None]
