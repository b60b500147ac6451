"""The interface of Anthropic: messages. Pure.

A JSON Schema goes in as the input of a tool that the model must use. Source: Anthropic API
reference, "Messages" and "Streaming messages".
"""

from collections.abc import Sequence

import msgspec

from symphony.kit.instruments.hosted.asking import ChatAsk, EmbedAsk
from symphony.kit.instruments.hosted.openai import complaint_of
from symphony.kit.instruments.hosted.wire import (
    FINISH_LENGTH,
    FINISH_STOP,
    URL_HINT,
    Answer,
    Broken,
    Overloaded,
    Request,
    Tokens,
    decoded,
    encoded,
)
from symphony.ports.models import ModelFailed
from symphony.ports.values import Value

URL = "https://api.anthropic.com/v1"
KEY = "ANTHROPIC_API_KEY"
VERSION = "2023-06-01"
_TOOL = "answer"
_FINISH = {
    "end_turn": FINISH_STOP,
    "tool_use": FINISH_STOP,
    "stop_sequence": FINISH_STOP,
    "max_tokens": FINISH_LENGTH,
}
_TEMPERATURE_MAX = 1.0


class _Usage(msgspec.Struct, frozen=True):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Block(msgspec.Struct, frozen=True):
    type: str
    text: str = ""
    input: msgspec.Raw = msgspec.Raw(b"")


class _Message(msgspec.Struct, frozen=True):
    content: list[_Block] = []
    stop_reason: str | None = None
    usage: _Usage = _Usage()


class _Delta(msgspec.Struct, frozen=True):
    type: str = ""
    text: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Fault(msgspec.Struct, frozen=True):
    type: str = ""
    message: str = ""


class _Event(msgspec.Struct, frozen=True):
    type: str
    message: _Message | None = None
    delta: _Delta = _Delta()
    usage: _Usage | None = None
    error: _Fault | None = None


class Anthropic:
    """`Wire` for Anthropic's messages."""

    def __init__(self, model: str) -> None:
        """`model`: what the provider calls it."""
        self._model = model

    def chat(self, ask: ChatAsk, *, streamed: bool, key: str | None) -> Request:
        """A message."""
        system = "\n\n".join(m.content for m in ask.messages if m.role == "system")
        body: dict[str, Value] = {
            **ask.extra,
            "model": self._model,
            "messages": [{"role": m.role, "content": m.content} for m in ask.messages if m.role != "system"],
            "max_tokens": ask.max_tokens,
        }
        if system:
            body["system"] = system
        if ask.temperature is not None:
            body["temperature"] = min(ask.temperature, _TEMPERATURE_MAX)
        if ask.schema is not None:
            tool: dict[str, Value] = {"name": _TOOL, "input_schema": dict(ask.schema)}
            tool["description"] = "Give the answer in this form."
            body["tools"] = [tool]
            body["tool_choice"] = {"type": "tool", "name": _TOOL}
        if streamed:
            body["stream"] = True
        headers = {"anthropic-version": VERSION, **({} if key is None else {"x-api-key": key})}
        return Request(path="/messages", headers=headers, body=encoded(body), streamed=streamed, secret=key)

    def reading(self, ask: ChatAsk) -> "_Reading":
        """For a streamed message."""
        return _Reading(as_json=ask.schema is not None)

    def plain(self, body: bytes, ask: ChatAsk) -> Answer:
        """A message that came whole."""
        found = decoded(body, _Message, "the answer")
        if not found.content:
            raise Broken("the answer holds no content", hint=URL_HINT)
        _no_refusal(found.stop_reason)
        if ask.schema is None:
            text = "".join(block.text for block in found.content if block.type == "text")
        else:
            text = "".join(bytes(b.input).decode() for b in found.content if b.type == "tool_use")
        return Answer(text=text, finish=_finish(found.stop_reason), tokens=_tokens(found.usage))

    def embed(self, ask: EmbedAsk, texts: Sequence[str], *, key: str | None) -> Request:
        """Not offered; the settings refuse it."""
        raise ModelFailed("Anthropic has no embeddings", hint="use another provider")

    def vectors(self, body: bytes, count: int) -> tuple[list[list[float]], Tokens | None]:
        """Not offered."""
        raise ModelFailed("Anthropic has no embeddings", hint="use another provider")

    def complaint(self, body: bytes) -> str:
        """The message of an error."""
        return complaint_of(body)


class _Reading:
    """A streamed message."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._pieces: list[str] = []
        self._stop: str | None = None
        self._usage = _Usage()
        self._counted = self._done = False

    def feed(self, data: str) -> str:
        found = decoded(data, _Event, "an event of the stream")
        match found.type:
            case "message_start" if found.message is not None:
                self._count(found.message.usage)
            case "content_block_delta":
                return self._piece(found.delta)
            case "message_delta":
                self._stop = found.delta.stop_reason or self._stop
                if found.usage is not None:
                    self._count(found.usage)
                _no_refusal(self._stop)
            case "message_stop":
                self._done = True
            case "error":
                said = "" if found.error is None else found.error.message or found.error.type
                raise Overloaded(f"the provider broke off: {said}", hint="try again later")
        return ""  # pings, and events of later versions, which clients are asked to pass over

    def _piece(self, delta: _Delta) -> str:
        wanted = "input_json_delta" if self._as_json else "text_delta"
        piece = "" if delta.type != wanted else delta.partial_json if self._as_json else delta.text
        if piece:
            self._pieces.append(piece)
        return piece

    def _count(self, told: _Usage) -> None:
        """Counts are cumulative, and a later event need not repeat what an earlier one said."""
        before = self._usage
        self._counted = True
        self._usage = _Usage(
            told.input_tokens if told.input_tokens is not None else before.input_tokens,
            told.output_tokens if told.output_tokens is not None else before.output_tokens,
            told.cache_read_input_tokens or before.cache_read_input_tokens,
            told.cache_creation_input_tokens or before.cache_creation_input_tokens,
        )

    @property
    def done(self) -> bool:
        return self._done

    def answer(self) -> Answer:
        tokens = _tokens(self._usage) if self._counted and self._done else None
        return Answer(text="".join(self._pieces), finish=_finish(self._stop), tokens=tokens)


def _tokens(usage: _Usage) -> Tokens:
    """Anthropic counts what was read from its cache, and what went into it, apart from the rest."""
    cached = usage.cache_read_input_tokens or 0
    read = (usage.input_tokens or 0) + (usage.cache_creation_input_tokens or 0) + cached
    return Tokens.told(read=read, written=usage.output_tokens or 0, cached=cached)


def _finish(reason: str | None) -> str:
    return _FINISH.get(reason or "end_turn", reason or FINISH_STOP)


def _no_refusal(reason: str | None) -> None:
    if reason == "refusal":
        raise ModelFailed("the model refused to answer", code="model-refused", hint="ask in another way")
