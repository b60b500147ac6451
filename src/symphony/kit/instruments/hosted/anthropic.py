"""The interface of Anthropic: messages. Pure.

A JSON Schema goes in as the input of a tool that the model must use. Source: Anthropic API
reference, "Messages" and "Streaming messages".
"""

import json
from collections.abc import Mapping, Sequence

import msgspec

from symphony.kit.instruments.hosted.asking import ChatAsk, EmbedAsk
from symphony.kit.instruments.hosted.faults import Fault
from symphony.kit.instruments.hosted.reading import (
    Pieces,
    count,
    fault_in,
    fields,
    items,
    raise_fault,
    text_of,
    tokens,
    tree,
    whole,
    word,
)
from symphony.kit.instruments.hosted.wire import (
    FINISH_LENGTH,
    FINISH_STOP,
    URL_HINT,
    BrokenAnswer,
    ModelAnswer,
    ModelRequest,
    Tokens,
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


class _RawBlock(msgspec.Struct, frozen=True):
    type: str
    input: msgspec.Raw = msgspec.Raw(b"")


class _RawMessage(msgspec.Struct, frozen=True):
    """For the input of a tool as it was written: as a value it would lose its spelling."""

    content: list[_RawBlock]


class Anthropic:
    """`Wire` for Anthropic's messages."""

    def __init__(self, model: str) -> None:
        """`model`: what the provider calls it."""
        self._model = model

    def chat(self, ask: ChatAsk, *, streamed: bool, key: str | None) -> ModelRequest:
        """Return a message."""
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
        return ModelRequest(
            path="/messages", headers=headers, body=encoded(body), streamed=streamed, secret=key
        )

    def reading(self, ask: ChatAsk) -> "_Reading":
        """For a streamed message."""
        return _Reading(as_json=ask.schema is not None)

    def plain(self, body: bytes, ask: ChatAsk) -> ModelAnswer:
        """Return a message that came whole."""
        found = tree(body, "the answer")
        raise_fault(found.get("error"))
        content, stop = found.get("content"), word(found.get("stop_reason"))
        if not content and stop is None:
            raise BrokenAnswer("the answer holds no content", hint=URL_HINT)
        _no_refusal(stop)
        text = text_of(content) if ask.schema is None else _input_of(body, content)
        return ModelAnswer(text=whole(text), finish=_finish(stop), tokens=_tokens(fields(found.get("usage"))))

    def embed(self, ask: EmbedAsk, texts: Sequence[str], *, key: str | None) -> ModelRequest:
        """Not offered; the settings refuse it."""
        raise ModelFailed("Anthropic has no embeddings", hint="use another provider")

    def vectors(self, body: bytes, count: int) -> tuple[list[list[float]], Tokens | None]:
        """Not offered."""
        raise ModelFailed("Anthropic has no embeddings", hint="use another provider")

    def fault(self, body: bytes) -> Fault:
        """Return the error in a refusal."""
        return fault_in(body)


def _input_of(body: bytes, content: Value) -> str:
    """Return the input of the tool that the model used."""
    try:
        blocks = msgspec.json.decode(body, type=_RawMessage).content
        return "".join(bytes(block.input).decode() for block in blocks if block.type == "tool_use")
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        used = [fields(one) for one in items(content) if fields(one).get("type") == "tool_use"]
        return "".join(json.dumps(block.get("input"), ensure_ascii=False) for block in used)


class _Reading:
    """A streamed message."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._pieces = Pieces()
        self._stop: str | None = None
        self._usage: dict[str, Value] = {}
        self._done = False

    def feed(self, data: str) -> str:
        found = tree(data, "an event of the stream")
        delta = fields(found.get("delta"))
        match found.get("type"):
            case "message_start":
                self._count(fields(found.get("message")).get("usage"))
            case "content_block_start" if not self._as_json:
                block = fields(found.get("content_block"))
                return self._pieces.add(text_of([dict(block)]))  # empty, from Anthropic itself
            case "content_block_delta":
                return self._piece(delta)
            case "message_delta":
                self._stop = word(delta.get("stop_reason")) or self._stop
                self._count(found.get("usage"))
                _no_refusal(self._stop)
            case "message_stop":
                self._done = True
            case "error":
                raise_fault(found.get("error") or "no reason is given")
        return ""  # pings, and events of later versions, which clients are asked to pass over

    def _piece(self, delta: Mapping[str, Value]) -> str:
        wanted, field = ("input_json_delta", "partial_json") if self._as_json else ("text_delta", "text")
        piece = word(delta.get(field)) if delta.get("type") == wanted else None
        return "" if piece is None else self._pieces.add(piece)

    def _count(self, told: Value) -> None:
        """Counts are cumulative, and a later event need not repeat what an earlier one said."""
        self._usage |= {name: one for name, one in fields(told).items() if count(one) is not None}

    @property
    def done(self) -> bool:
        return self._done

    def answer(self) -> ModelAnswer:
        return ModelAnswer(
            text=self._pieces.text(),
            finish=_finish(self._stop),
            tokens=_tokens(self._usage) if self._done else None,
        )


def _tokens(usage: Mapping[str, Value]) -> Tokens | None:
    """Anthropic counts what was read from its cache, and what went into it, apart from the rest."""
    read, written = count(usage.get("input_tokens")), count(usage.get("output_tokens"))
    cached = count(usage.get("cache_read_input_tokens")) or 0
    if read is not None:
        read += (count(usage.get("cache_creation_input_tokens")) or 0) + cached
    return tokens(read, written, None, cached=cached)


def _finish(reason: str | None) -> str:
    return _FINISH.get(reason or "end_turn", reason or FINISH_STOP)


def _no_refusal(reason: str | None) -> None:
    if reason == "refusal":
        raise ModelFailed("the model refused to answer", code="model-refused", hint="ask in another way")
