"""The interface of a provider, as the rest sees it: requests to send, answers to read. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from symphony.commons.errors import SerializationFailed
from symphony.commons.settings import ModelConfig
from symphony.ipc.values import check_json
from symphony.kit.instruments.hosted.asking import ChatAsk, EmbedAsk
from symphony.kit.instruments.hosted.faults import Fault
from symphony.ports.models import ModelFailed
from symphony.ports.values import Value

FINISH_STOP, FINISH_LENGTH = "stop", "length"
COUNT_MAX = 10**12


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """A POST. `path` is appended to the model's URL; `secret` must not be seen in errors."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    streamed: bool = False
    secret: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """The tokens that a provider says it counted; `read` includes `cached`."""

    read: int = 0
    written: int = 0
    cached: int = 0

    @classmethod
    def told(cls, *, read: int, written: int, cached: int) -> "Tokens":
        """Counts as a provider told them: whatever it said, they are numbers that can be kept."""
        return cls(read=_sane(read), written=_sane(written), cached=_sane(cached))


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAnswer:
    """A whole answer. `tokens` is None where the provider did not say."""

    text: str
    finish: str
    tokens: Tokens | None


class BrokenAnswer(ModelFailed):
    """The answer violates the interface: cut short, malformed, of another type, or too large."""

    code = "model-answer-broken"


class TemporaryFailure(ModelFailed):
    """A failure that may pass. `asked_s` is how many seconds the provider asks to wait, if it does.

    `ill`: the provider seems to be ill, rather than to answer that it was asked too often.
    """

    asked_s: float | None = None
    ill: bool = True


class CircuitOpen(TemporaryFailure):
    """The provider failed again and again, and is left alone for a while: no request was sent."""

    code = "model-circuit-open"


class Overloaded(TemporaryFailure):
    """The provider cannot answer now and may later."""

    code = "model-overloaded"


class ServerFailed(TemporaryFailure):
    """Something failed at the provider, which says no more; it may answer the next time."""

    code = "model-failed"


class Unreachable(TemporaryFailure):
    """The provider's address does not answer, or the connection broke."""

    code = "model-unreachable"


class TooLate(TemporaryFailure):
    """The provider took longer than the settings allow."""

    code = "model-timeout"


class AnswerCutShort(TemporaryFailure):
    """The answer ended before its end."""

    code = "model-answer-broken"


class StreamReader(Protocol):
    """Puts a streamed answer together."""

    def feed(self, data: str) -> str:
        """Return the piece of the answer in the data of one event, perhaps empty.

        Raises BrokenAnswer, Overloaded, ModelFailed.
        """
        ...

    @property
    def done(self) -> bool:
        """True if the end of the answer has come."""
        ...

    def answer(self) -> ModelAnswer:
        """Return what came; `done` tells whether that is all."""
        ...


class Wire(Protocol):
    """One provider's interface."""

    def chat(self, ask: ChatAsk, *, streamed: bool, key: str | None) -> ModelRequest: ...
    def reading(self, ask: ChatAsk) -> StreamReader: ...
    def plain(self, body: bytes, ask: ChatAsk) -> ModelAnswer:
        """Return the answer in a body that was not streamed. Raises BrokenAnswer, ModelFailed."""
        ...

    def embed(self, ask: EmbedAsk, texts: Sequence[str], *, key: str | None) -> ModelRequest: ...
    def vectors(self, body: bytes, count: int) -> tuple[list[list[float]], Tokens | None]:
        """Return `count` vectors in the order of their texts. Raises BrokenAnswer."""
        ...

    def fault(self, body: bytes) -> Fault:
        """Return what the provider says in the body of an error, or as much of it as is text."""
        ...


def _sane(count: int) -> int:
    return min(max(count, 0), COUNT_MAX)


def behind(name: str, config: ModelConfig) -> str:
    """Return what the provider calls the model."""
    return config.model or name


def encoded(body: Mapping[str, Value]) -> bytes:
    """Return a request's body. Raises ModelFailed for what JSON cannot carry exactly."""
    try:
        check_json(dict(body), "the request")
        return msgspec.json.encode(body)
    except (SerializationFailed, TypeError, ValueError, UnicodeEncodeError, RecursionError) as error:
        raise ModelFailed(
            f"the request cannot be written as JSON: {error}",
            code="type-mismatch",
            hint="texts must be Unicode without lone surrogates, and config plain values",
        ) from error


URL_HINT = "is url the address of such an interface? It usually ends in /v1"
"""For answers that look as if somebody else were speaking."""


def shown(text: str, limit: int = 300) -> str:
    """Return the beginning of what a provider said, on one line, for a message."""
    text = " ".join(text[: limit * 4].split())
    return text[:limit] + ("…" if len(text) > limit else "")
