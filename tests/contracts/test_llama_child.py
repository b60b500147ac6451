"""The demo model's process speaks as OpenAI does: to OpenAI's own client, and to our adapter."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import openai
import psutil
import pytest
from tests.support.fakes import Listener

from symphony.app.models import AllModels
from symphony.app.served import ServedModels
from symphony.commons.settings import Config, ModelConfig
from symphony.commons.time import SystemClock
from symphony.kit.instruments import SMOLLM2
from symphony.kit.instruments.files import SMOLLM2 as BUNDLE
from symphony.kit.instruments.files import locate
from symphony.ports.models import ModelUnavailable
from symphony.ports.values import Value

pytestmark = pytest.mark.slow

LIMIT_S = 300.0


def gguf() -> Path:
    return locate(bundle=BUNDLE) / BUNDLE.files[0].name


@pytest.fixture(scope="module")
def config() -> Config:
    return Config(
        models={"vectors": ModelConfig(provider="llama", kind="embedding", file=str(gguf()), context=512)}
    )


@pytest.fixture
async def models(config: Config, tmp_path: Path) -> AsyncIterator[AllModels]:
    one = AllModels(config, tmp_path, SystemClock(), {})
    async with asyncio.timeout(LIMIT_S):
        yield one
        await one.close()


def served(models: AllModels) -> ServedModels:
    found = models.served_by(SMOLLM2)
    assert isinstance(found, ServedModels)
    return found


async def test_the_official_client_talks_to_the_process(models: AllModels) -> None:
    async with served(models).address(SMOLLM2) as (url, key):
        client = openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0, timeout=LIMIT_S)
        # Drawn words may be none that five tokens make whole: the likeliest ones are the same each time.
        asked = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 5, "temperature": 0}
        plain = await client.chat.completions.create(model="any", **asked)  # type: ignore[call-overload]
        assert plain.choices[0].message.content
        assert plain.usage.completion_tokens <= 5
        stream = await client.chat.completions.create(  # type: ignore[call-overload]
            model="any", stream=True, stream_options={"include_usage": True}, **asked
        )
        chunks = [chunk async for chunk in stream]
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        assert chunks[-1].usage.completion_tokens <= 5
        await client.close()


async def test_the_process_answers_nobody_without_its_key(models: AllModels) -> None:
    async def answered(url: str, key: str) -> bool:
        question = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 5}
        async with openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0, timeout=LIMIT_S) as client:
            given = await client.chat.completions.create(model="any", temperature=0, **question)  # type: ignore[call-overload]
        return bool(given.choices[0].message.content)

    async with served(models).address(SMOLLM2) as (url, key):
        # llama.cpp's server refuses before it has read the question. When it hangs up with a part of that
        # unread, the connection may break before the refusal has arrived.
        with pytest.raises((openai.AuthenticationError, openai.APIConnectionError)):
            await answered(url, "wrong")
        assert await answered(url, key), "it is there for who has the key"


async def test_the_official_client_gets_embeddings_of_an_embedding_model(models: AllModels) -> None:
    async with served(models).address("vectors") as (url, key):
        client = openai.AsyncOpenAI(base_url=url, api_key=key, max_retries=0, timeout=LIMIT_S)
        found = await client.embeddings.create(model="any", input=["a cat", "a dog"], encoding_format="float")
        await client.close()
    ours = await models.invoke("vectors", {"texts": ["a cat", "a dog"]}, {})
    vectors = ours["vectors"]
    assert isinstance(vectors, list)
    assert len(vectors) == len(found.data) == 2
    assert vectors[0] == pytest.approx(found.data[0].embedding, abs=1e-3)


async def test_our_adapter_streams_counts_and_ends_with_the_caller(models: AllModels) -> None:
    listener = Listener()
    answer = await models.invoke(SMOLLM2, {"prompt": "Say hello.", "max_tokens": 8}, {}, listener)
    assert answer["text"] == "".join(listener.tokens)
    assert 0 < listener.usage.tokens_out <= 8
    assert (listener.usage.cost, listener.usage.estimated) == (Decimal(0), False)

    listener = Listener()
    long: dict[str, Value] = {"prompt": "Count from one to a thousand, in words.", "max_tokens": 1500}
    call = asyncio.ensure_future(models.invoke(SMOLLM2, long, {}, listener))
    await listener.first.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    # The process has one place, so that another answer proves that the first was given up.
    listener = Listener()
    await models.invoke(SMOLLM2, {"prompt": "Hi", "max_tokens": 2}, {}, listener)
    assert listener.usage.calls == 1


async def test_an_answer_by_schema_is_held_to_it(models: AllModels) -> None:
    schema: Value = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "green"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    answer = await models.invoke(SMOLLM2, {"prompt": "A colour?", "schema": schema, "max_tokens": 40}, {})
    assert isinstance(answer["json"], dict)
    assert answer["json"]["colour"] in ("red", "green")


async def test_the_process_ends_with_the_models(config: Config, tmp_path: Path) -> None:
    models = AllModels(config, tmp_path, SystemClock(), {})
    async with asyncio.timeout(LIMIT_S):
        async with served(models).address(SMOLLM2):
            child = next(c for c in psutil.Process().children() if "llama_child" in " ".join(c.cmdline()))
        await models.close()
    assert not psutil.pid_exists(child.pid)


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"GGUF" + b"\0" * 100, "cannot load"), (b"hello", "is not a GGUF file"), (None, "cannot read")],
)
async def test_a_file_that_is_no_model_is_told(tmp_path: Path, content: bytes | None, why: str) -> None:
    file = tmp_path / "x.gguf"
    if content is not None:
        file.write_bytes(content)
    config = Config(models={"x": ModelConfig(provider="llama", file=str(file))})
    models = AllModels(config, tmp_path, SystemClock(), {})
    with pytest.raises(ModelUnavailable, match=why):
        await models.invoke("x", {"prompt": "Hi"}, {})
    await models.close()


async def test_a_model_with_slots_answers_so_many_calls_at_once(tmp_path: Path) -> None:
    config = Config(
        models={"two": ModelConfig(provider="llama", file=str(gguf()), slots=2, context=256, max_tokens=4)}
    )
    models = AllModels(config, tmp_path, SystemClock(), {})
    one = models.served_by("two")
    assert isinstance(one, ServedModels)
    async with asyncio.timeout(LIMIT_S):
        async with one.address("two") as first, one.address("two") as second:
            assert first == second
            third = asyncio.ensure_future(one.invoke("two", {"prompt": "Say hello."}, {}))
            done, _ = await asyncio.wait([third], timeout=0.2)
            assert not done
        assert (await third)["text"]
        answers = await asyncio.gather(*(one.invoke("two", {"prompt": "Say hello."}, {}) for _ in range(4)))
        assert all(answer["text"] for answer in answers)
        await models.close()


def processes() -> set[int]:
    """The processes of models in GGUF files that are our children."""
    return {one.pid for one in psutil.Process().children() if any("llama_child" in w for w in one.cmdline())}


@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
async def test_a_chat_whose_process_hangs_or_dies_is_asked_once_more(models: AllModels, number: int) -> None:
    one = served(models)
    async with one.address(SMOLLM2):
        (first,) = processes()
    asking = asyncio.ensure_future(one.invoke(SMOLLM2, {"prompt": "Say hello.", "max_tokens": 3}, {}))
    await asyncio.sleep(0)
    os.kill(first, number)
    assert (await asking)["text"]
    assert processes() - {first}
