"""The interface of OpenAI, which many servers speak: chat completions and embeddings. Pure.

Source: OpenAI API reference, "Chat" and "Embeddings".
"""

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from symphony.kit.instruments.hosted.asking import ChatAsk, EmbedAsk
from symphony.kit.instruments.hosted.faults import Fault
from symphony.kit.instruments.hosted.reading import (
    Pieces,
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
from symphony.kit.instruments.hosted.reading import count as _count
from symphony.kit.instruments.hosted.schemas import closed
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
from symphony.kit.json_pieces import PIECE_BYTES
from symphony.ports.models import ModelFailed
from symphony.ports.values import Value

URL = "https://api.openai.com/v1"
KEY = "OPENAI_API_KEY"
_DONE = "[DONE]"


class _Vector(msgspec.Struct, frozen=True):
    index: int
    embedding: list[float]


class _Embeddings(msgspec.Struct, frozen=True):
    """Vectors as nearly all servers send them: read so, a large answer takes no longer than it must."""

    data: list[_Vector]
    usage: msgspec.Raw = msgspec.Raw(b"null")


_Given: TypeAlias = tuple[list[tuple[int | None, list[float]]], Mapping[str, Value]]
"""Vectors, each with its index if it has one, and the usage."""


class OpenAI:
    """`Wire` for everything that speaks as OpenAI does."""

    def __init__(self, model: str, *, url: str = URL) -> None:
        """`model`: what the provider calls it."""
        self._model = model
        # OpenAI itself refuses the old name for its newer models; others know only the old one.
        self._limit = "max_completion_tokens" if url.startswith("https://api.openai.com/") else "max_tokens"

    def chat(self, ask: ChatAsk, *, streamed: bool, key: str | None) -> ModelRequest:
        """Return a chat completion."""
        body: dict[str, Value] = {
            **ask.extra,
            "model": self._model,
            "messages": [{"role": m.role, "content": m.content} for m in ask.messages],
            self._limit: ask.max_tokens,
        }
        if ask.temperature is not None:
            body["temperature"] = ask.temperature
        if ask.schema is not None:
            schema = dict(ask.schema)
            form: dict[str, Value] = {"name": "answer", "schema": schema, "strict": closed(schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        if streamed:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return ModelRequest(
            path="/chat/completions", headers=_headers(key), body=encoded(body), streamed=streamed, secret=key
        )

    def reading(self, ask: ChatAsk) -> "_Reading":
        """For a streamed chat completion."""
        return _Reading()

    def plain(self, body: bytes, ask: ChatAsk) -> ModelAnswer:
        """Return a chat completion that came whole."""
        found = tree(body, "the answer")
        raise_fault(found.get("error"))
        choices = items(found.get("choices"))
        if not choices:
            raise BrokenAnswer("the answer holds no choice", hint=URL_HINT)
        choice = fields(choices[0])
        message = fields(choice.get("message"))
        _no_refusal(word(message.get("refusal")))
        content = message.get("content", choice.get("text"))
        finish = word(choice.get("finish_reason")) or FINISH_STOP
        if content is None and finish != FINISH_LENGTH:
            raise BrokenAnswer("the answer holds no text", hint="does this model write text?")
        return ModelAnswer(text=whole(text_of(content)), finish=finish, tokens=_tokens(_usage(found)))

    def embed(self, ask: EmbedAsk, texts: Sequence[str], *, key: str | None) -> ModelRequest:
        """Embeddings of `texts`."""
        body: dict[str, Value] = {**ask.extra, "model": self._model, "input": list(texts)}
        body["encoding_format"] = "float"
        return ModelRequest(path="/embeddings", headers=_headers(key), body=encoded(body), secret=key)

    def vectors(self, body: bytes, count: int) -> tuple[list[list[float]], Tokens | None]:
        """Vectors by their indexes: the order in the body means nothing."""
        vectors, usage = _vectors(body, count)
        if len({len(vector) for vector in vectors}) != 1 or not vectors[0]:
            raise BrokenAnswer(
                "the vectors have different lengths, or none", hint="is this an embedding model?"
            )
        if not all(math.isfinite(number) for vector in vectors for number in vector):
            raise BrokenAnswer(
                "a vector holds something that is not a finite number", hint="is this an embedding model?"
            )
        return vectors, _tokens({"completion_tokens": 0, **usage})

    def fault(self, body: bytes) -> Fault:
        """Return the error in a refusal."""
        return fault_in(body)


def _vectors(body: bytes, count: int) -> tuple[list[list[float]], Mapping[str, Value]]:
    """Return the vectors in the order of their texts, and the usage. Raises BrokenAnswer."""
    # One that is large is read in pieces, which leaves other threads their turn.
    found = None if len(body) > PIECE_BYTES else _as_promised(body)
    given, usage = found if found is not None else _as_it_is(body)
    if all(index is None for index, _ in given):  # then the order is that of the texts
        given = [(at, vector) for at, (_, vector) in enumerate(given)]
    by_index = dict(given)
    if len(given) != count or by_index.keys() != set(range(count)):
        raise BrokenAnswer(f"{len(given)} vectors came for {count} texts", hint=URL_HINT)
    return [by_index[at] for at in range(count)], usage


def _as_promised(body: bytes) -> _Given | None:
    """Return what a body holds that keeps to the interface; None for any other."""
    try:
        found = msgspec.json.decode(body, type=_Embeddings)
        usage = fields(msgspec.json.decode(found.usage))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return [(one.index, one.embedding) for one in found.data], usage


def _as_it_is(body: bytes) -> _Given:
    """Return what a body holds, however its server spells it. Raises BrokenAnswer, and what
    `raise_fault` does.
    """
    found = tree(body, "the answer")
    raise_fault(found.get("error"))
    entries = [fields(one) for one in items(found.get("data"))]
    return [(_count(one.get("index")), _vector(one.get("embedding"))) for one in entries], _usage(found)


def _vector(embedding: Value) -> list[float]:
    """Numbers; some servers put a list of one vector where the vector belongs."""
    if isinstance(embedding, list) and len(embedding) == 1 and isinstance(embedding[0], list):
        embedding = embedding[0]
    if not isinstance(embedding, list) or any(type(one) not in (int, float) for one in embedding):
        raise BrokenAnswer(
            "an embedding is not what the interface promises: it is not a list of numbers", hint=URL_HINT
        )
    return [float(number) for number in embedding if isinstance(number, int | float)]


class _Reading:
    """A streamed chat completion."""

    def __init__(self) -> None:
        self._pieces = Pieces()
        self._refusal: list[str] = []
        self._finish: str | None = None
        self._usage: Mapping[str, Value] = {}

    def feed(self, data: str) -> str:
        if data.strip() == _DONE:
            self._finish = self._finish or FINISH_STOP
            return ""
        found = tree(data, "an event of the stream")
        raise_fault(found.get("error"))
        self._usage = _usage(found) or self._usage
        choices = items(found.get("choices"))
        if not choices:
            return ""
        choice = fields(choices[0])
        delta = fields(choice.get("delta"))
        self._finish = word(choice.get("finish_reason")) or self._finish
        if refusal := word(delta.get("refusal")):
            self._refusal.append(refusal)
        if self._finish and self._refusal:
            _no_refusal("".join(self._refusal))
        return self._pieces.add(text_of(delta.get("content", choice.get("text"))))

    @property
    def done(self) -> bool:
        return self._finish is not None

    def answer(self) -> ModelAnswer:
        return ModelAnswer(text=self._pieces.text(), finish=self._finish or "", tokens=_tokens(self._usage))


def _headers(key: str | None) -> Mapping[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def _usage(found: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the counts, which some servers put into the choice or into a field of their own."""
    choices = items(found.get("choices"))
    choice = fields(choices[0]) if choices else {}
    places = (found.get("usage"), fields(found.get("x_groq")).get("usage"), choice.get("usage"))
    return next((usage for place in places if (usage := fields(place))), {})


def _tokens(usage: Mapping[str, Value]) -> Tokens | None:
    if not usage:
        return None
    cached = _count(fields(usage.get("prompt_tokens_details")).get("cached_tokens"))
    return tokens(
        _count(usage.get("prompt_tokens", usage.get("input_tokens"))),
        _count(usage.get("completion_tokens", usage.get("output_tokens"))),
        _count(usage.get("total_tokens")),
        cached=_count(usage.get("prompt_cache_hit_tokens")) if cached is None else cached,
    )


def _no_refusal(refusal: str | None) -> None:
    if refusal:
        raise ModelFailed(f"the model refused: {refusal}", code="model-refused", hint="ask in another way")
