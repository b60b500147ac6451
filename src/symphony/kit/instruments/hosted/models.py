"""Hosted models by id: limits, reservations, tries and usage around what a provider's wire says."""

import asyncio
import functools
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import msgspec

from symphony.commons.deadline import left_s
from symphony.commons.logging import logger
from symphony.commons.settings import ModelConfig
from symphony.kit.instruments.hosted import anthropic, openai, prices, schemas
from symphony.kit.instruments.hosted.asking import ChatAsk, EmbedAsk, chat_ask, embed_ask
from symphony.kit.instruments.hosted.breaking import CircuitBreaker
from symphony.kit.instruments.hosted.catalog import fingerprint
from symphony.kit.instruments.hosted.circuits import Circuit
from symphony.kit.instruments.hosted.http import ModelConnection
from symphony.kit.instruments.hosted.limits import Gate
from symphony.kit.instruments.hosted.retrying import delay_s
from symphony.kit.instruments.hosted.wire import (
    FINISH_LENGTH,
    AnswerCutShort,
    ModelAnswer,
    TemporaryFailure,
    Tokens,
    Wire,
    behind,
)
from symphony.ports.clock import Clock
from symphony.ports.models import (
    UNMETERED,
    Caller,
    Estimate,
    ModelFailed,
    ModelUnavailable,
    Usage,
    drawn_at_random,
)
from symphony.ports.pool import CircuitChanged
from symphony.ports.values import Value

T = TypeVar("T")

_log = logger(__name__)
_ASIDE_BYTES = 64 * 1024
"""What is smaller takes less than a millisecond, and a thread as long."""


class HostedModels:
    """`symphony.ports.models.Models` over HTTP. Use from one event loop; `close` it.

    `environment` holds the keys, by the names that the settings give; they are read at each
    call and kept nowhere.
    """

    def __init__(
        self,
        models: Mapping[str, ModelConfig],
        *,
        currency: str,
        clock: Clock,
        chance: random.Random,
        environment: Mapping[str, str],
        tell: Callable[[CircuitChanged], None] | None = None,
    ) -> None:
        """`currency` is that of the prices; `chance` spreads the waits before new tries.

        `tell` hears of each circuit that opens or closes. It must not wait or raise.
        """
        self._hosted = {
            name: Hosted(
                name,
                config,
                currency=currency,
                clock=clock,
                chance=chance,
                environment=environment,
                tell=tell,
            )
            for name, config in models.items()
        }
        self._closed = False

    async def invoke(
        self,
        model: str,
        inputs: Mapping[str, Value],
        config: Mapping[str, Value],
        caller: Caller = UNMETERED,
    ) -> Mapping[str, Value]:
        """Return the model's output ports. Cancelling the task closes the connection, which ends the work."""
        return await self._of(model).invoke(inputs, config, caller)

    def estimate(self, model: str, inputs: Mapping[str, Value], config: Mapping[str, Value]) -> Estimate:
        """Return the most that the call is likely to use up, over all its requests."""
        return self._of(model).estimate(inputs)

    def fingerprint(self, model: str) -> str:
        """Return a fingerprint of the provider, the place and the model there: the weights are theirs."""
        hosted = self._of(model)
        return fingerprint(model, hosted.config)

    def sampled(self, model: str, inputs: Mapping[str, object]) -> bool:
        """Return True for a chat at a temperature above 0; embeddings are never sampled."""
        return self._of(model).config.kind == "chat" and drawn_at_random(inputs)

    def foresee(self, run: str, needs: Mapping[str, int] | None) -> None:
        """Nothing is loaded here."""

    async def close(self) -> None:
        """Close every connection. Calls made later are refused."""
        self._closed = True
        for hosted in self._hosted.values():
            await hosted.connection.close()

    def _of(self, model: str) -> "Hosted":
        if self._closed:
            raise ModelUnavailable(f"model {model}: the connections are closed")
        if model not in self._hosted:
            known = ", ".join(sorted(self._hosted)) or "none"
            raise ModelUnavailable(f"there is no model {model!r}", hint=f"models here: {known}")
        return self._hosted[model]


class Hosted:
    """One model at one address."""

    def __init__(
        self,
        name: str,
        config: ModelConfig,
        *,
        currency: str,
        clock: Clock,
        chance: random.Random,
        environment: Mapping[str, str],
        tell: Callable[[CircuitChanged], None] | None = None,
    ) -> None:
        self.name, self.config = name, config
        self._currency, self._clock, self._chance, self._environment = currency, clock, chance, environment
        self._wire, url = wire_of(name, config)
        self._gate = Gate(config, clock)
        breaker = CircuitBreaker(config.circuit_failures, config.circuit_seconds)
        self._circuit = Circuit(name, breaker, clock, tell)
        self.connection = ModelConnection(name, config, url, clock, self._wire.fault)

    async def invoke(
        self, inputs: Mapping[str, Value], config: Mapping[str, Value], caller: Caller
    ) -> Mapping[str, Value]:
        """One call of a node."""
        if self.config.kind == "embedding":
            return await self._embed(embed_ask(inputs, config), caller)
        return await self._chat(chat_ask(inputs, config, max_tokens=self.config.max_tokens), caller)

    def estimate(self, inputs: Mapping[str, Value]) -> Estimate:
        """Return the most that a call with `inputs`, of which some may not be known yet, is likely to
        use up.
        """
        texts = [text for value in inputs.values() for text in _texts_in(value)]
        limit = inputs.get("max_tokens")
        written = limit if isinstance(limit, int) else self.config.max_tokens
        read = prices.tokens_at_most(texts)
        return self._most(read, 0 if self.config.kind == "embedding" else written)

    # ---- chat -----------------------------------------------------------------------------

    async def _chat(self, ask: ChatAsk, caller: Caller) -> Mapping[str, Value]:
        most = self._most(ask.tokens_in_most, ask.max_tokens)
        tally = Tally(self, most, caller)
        once = self._streamed if self.config.stream else self._plain
        answer = await self._persisting(tally, functools.partial(once, ask, tally))
        value = None
        if ask.schema is not None:
            value = await aside(len(answer.text), functools.partial(_checked, answer, ask.schema))
        return {
            "text": answer.text,
            "json": value,
            "usage": _shown(tally.total),
            "finish_reason": answer.finish,
        }

    async def _plain(self, ask: ChatAsk, tally: "Tally") -> ModelAnswer:
        request = self._wire.chat(ask, streamed=False, key=self._key())
        body = await self.connection.whole(request)
        tally.begun()
        return await self._read(body, ask, tally)

    async def _read(self, body: bytes, ask: ChatAsk, tally: "Tally") -> ModelAnswer:
        """Return an answer that came whole."""
        answer = await aside(len(body), functools.partial(self._wire.plain, body, ask))
        tally.ended(answer.tokens, answer.text)
        tally.told(answer.text)
        return answer

    async def _streamed(self, ask: ChatAsk, tally: "Tally") -> ModelAnswer:
        request = self._wire.chat(ask, streamed=True, key=self._key())
        reading = self._wire.reading(ask)
        async with self.connection.stream(request) as events:
            tally.begun()
            if isinstance(events, bytes):
                return await self._read(events, ask, tally)
            async for data in events:
                tally.told(reading.feed(data))
        if not reading.done:
            raise AnswerCutShort(
                "the answer broke off before its end", hint="try again; if it stays so, set stream = false"
            )
        answer = reading.answer()
        tally.ended(answer.tokens, answer.text)
        return answer

    # ---- embeddings -----------------------------------------------------------------------

    async def _embed(self, ask: EmbedAsk, caller: Caller) -> Mapping[str, Value]:
        vectors: list[Value] = []
        total = Usage()
        for at in range(0, len(ask.texts), self.config.batch):
            texts = ask.texts[at : at + self.config.batch]
            tally = Tally(self, self._most(prices.tokens_at_most(texts), 0), caller)
            found = await self._persisting(tally, functools.partial(self._vectors, ask, texts, tally))
            vectors += [[*vector] for vector in found]
            total += tally.total
        return {"vectors": vectors, "usage": _shown(total)}

    async def _vectors(self, ask: EmbedAsk, texts: tuple[str, ...], tally: "Tally") -> list[list[float]]:
        body = await self.connection.whole(self._wire.embed(ask, texts, key=self._key()))
        tally.begun()
        vectors, tokens = await aside(len(body), functools.partial(self._wire.vectors, body, len(texts)))
        tally.ended(tokens, "")
        return vectors

    # ---- around both ----------------------------------------------------------------------

    async def _persisting(self, tally: "Tally", once: Callable[[], Awaitable[T]]) -> T:
        """`once`, again while it fails in passing and nobody has seen a part of its answer."""
        attempt = 1
        while True:
            async with self._gate.slot():
                await tally.caller.reserve(self.name, tally.most)
                try:
                    await self._gate.admit(tally.most.tokens)
                    async with self._circuit.request():
                        return await once()
                except TemporaryFailure as error:
                    if tally.seen or attempt > self.config.retries:
                        raise
                    wait_s = delay_s(attempt, error.asked_s, self._chance.random())
                    if wait_s >= left_s():
                        raise
                    _log.warning(
                        "model is asked again",
                        model=self.name,
                        tries=attempt,
                        wait_s=wait_s,
                        why=error.message,
                    )
                finally:
                    self._gate.settle(tally.most.tokens, tally.settle().tokens)
            await self._clock.sleep(wait_s)
            attempt += 1

    def _most(self, read: int, written: int) -> Estimate:
        return prices.estimate(self.config.price, read=read, written=written)

    def usage(self, tokens: Tokens, *, estimated: bool = False) -> Usage:
        """Return what an answer used up."""
        return prices.usage(
            self.config.price,
            self._currency,
            read=tokens.read,
            written=tokens.written,
            cached=tokens.cached,
            estimated=estimated,
        )

    def _key(self) -> str | None:
        """Return the current key. Raises ModelUnavailable if its variable is not set."""
        name = self.config.key
        if name is None:
            return None
        key = self._environment.get(name, "").strip()
        if not key:
            raise ModelUnavailable(
                f"model {self.name} needs the key in the variable {name}, which is not set",
                code="model-key-missing",
                hint=f"export {name}=…",
            )
        if not (key.isascii() and key.isprintable()):
            raise ModelUnavailable(
                f"the key in the variable {name} holds characters that no key has",
                code="model-key-missing",
                hint=f"set {name} again; perhaps it was copied with something around it",
            )
        return key


async def aside(size: int, work: Callable[[], T]) -> T:
    """Return what `work` returns: in a thread, if what it reads is large."""
    return work() if size < _ASIDE_BYTES else await asyncio.to_thread(work)


class Tally:
    """The usage of the requests of one call, told to its caller one by one."""

    def __init__(self, hosted: Hosted, most: Estimate, caller: Caller) -> None:
        self._hosted, self.most, self.caller = hosted, most, caller
        self._this: Usage | None = None
        self._begun, self._written = False, 0
        self.seen = False
        self.total = Usage()

    def begun(self) -> None:
        """The provider has begun to answer: from here on it costs."""
        self._begun = True

    def told(self, piece: str) -> None:
        """A piece of the answer has come."""
        if piece:
            self.seen = True
            self._written += 1
            self.caller.token(piece)

    def ended(self, tokens: Tokens | None, text: str) -> None:
        """The answer is whole; without `tokens` the provider did not count."""
        if tokens is None:
            written = min(prices.tokens_at_most([text]), self.most.tokens_out) if text else 0
            self._this = self._hosted.usage(Tokens(read=self.most.tokens_in, written=written), estimated=True)
        else:
            self._this = self._hosted.usage(tokens)

    def settle(self) -> Usage:
        """Tell the caller what this request used, and start the count again."""
        used = self._this or Usage()
        if self._this is None and self._begun:  # broken off: the provider has read, and written this much
            tokens = Tokens(read=self.most.tokens_in, written=self._written)
            used = self._hosted.usage(tokens, estimated=True)
        self.caller.used(used)
        self.total += used
        self._this, self._begun, self._written = None, False, 0
        return used


def wire_of(name: str, config: ModelConfig) -> tuple[Wire, str]:
    """Return the interface of a configured model, and its address."""
    if config.provider == "anthropic":
        return anthropic.Anthropic(behind(name, config)), config.url or anthropic.URL
    url = config.url or openai.URL
    return openai.OpenAI(behind(name, config), url=url), url


def _checked(answer: ModelAnswer, schema: Mapping[str, Value]) -> Value:
    """Return the answer as a value that fits `schema`. Raises ModelFailed `model-output-invalid`."""
    if answer.finish == FINISH_LENGTH:
        raise ModelFailed(
            "the answer was cut off at max_tokens, so it is not whole JSON",
            code="model-output-invalid",
            hint="raise max_tokens, or ask for less",
        )
    try:
        value: Value = msgspec.json.decode(answer.text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ModelFailed(
            f"the answer is not JSON: {error}",
            code="model-output-invalid",
            hint="retry the node, or use a model that knows structured output",
        ) from error
    if why := schemas.mismatch(value, dict(schema)):
        raise ModelFailed(
            f"the answer does not fit the schema: {why}",
            code="model-output-invalid",
            hint="retry the node, or say in the prompt what is expected",
        )
    return value


def _shown(usage: Usage) -> Value:
    """Return usage as the value of a port. Money is text, which is exact."""
    shown: dict[str, Value] = {
        "calls": usage.calls,
        "tokens_in": usage.tokens_in,
        "tokens_out": usage.tokens_out,
        "tokens_cached": usage.tokens_cached,
        "cost": None if usage.cost is None else format(usage.cost, "f"),
        "currency": usage.currency,
    }
    return shown


def _texts_in(value: Value) -> list[str]:
    """Return every string in a value, as an estimate wants it."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for item in value for text in _texts_in(item)]
    return [text for item in value.values() for text in _texts_in(item)] if isinstance(value, dict) else []
