"""The interface of OpenAI, which many servers speak: chat completions and embeddings. Pure.

Source: OpenAI API reference, "Chat" and "Embeddings".
"""

import math
from collections.abc import Mapping, Sequence

import msgspec

from symphony.kit.instruments.hosted.asking import ChatAsk, EmbedAsk
from symphony.kit.instruments.hosted.schemas import closed
from symphony.kit.instruments.hosted.wire import (
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

URL = "https://api.openai.com/v1"
KEY = "OPENAI_API_KEY"
_DONE = "[DONE]"


class _Details(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class _Message(msgspec.Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Message = _Message()
    delta: _Message = _Message()
    finish_reason: str | None = None


class _Fault(msgspec.Struct, frozen=True):
    message: str = ""
    code: str | int | None = None
    type: str | None = None


class _Completion(msgspec.Struct, frozen=True):
    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: _Fault | str | None = None


class _Vector(msgspec.Struct, frozen=True):
    index: int
    embedding: list[float]


class _Embeddings(msgspec.Struct, frozen=True):
    data: list[_Vector]
    usage: _Usage | None = None


class _Error(msgspec.Struct, frozen=True):
    error: _Fault | str | None = None
    message: str | None = None


class OpenAI:
    """`Wire` for everything that speaks as OpenAI does."""

    def __init__(self, model: str, *, url: str = URL) -> None:
        """`model`: what the provider calls it."""
        self._model = model
        # OpenAI itself refuses the old name for its newer models; others know only the old one.
        self._limit = "max_completion_tokens" if url.startswith("https://api.openai.com/") else "max_tokens"

    def chat(self, ask: ChatAsk, *, streamed: bool, key: str | None) -> Request:
        """A chat completion."""
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
        return Request(
            path="/chat/completions", headers=_headers(key), body=encoded(body), streamed=streamed, secret=key
        )

    def reading(self, ask: ChatAsk) -> "_Reading":
        """For a streamed chat completion."""
        return _Reading()

    def plain(self, body: bytes, ask: ChatAsk) -> Answer:
        """A chat completion that came whole."""
        found = decoded(body, _Completion, "the answer")
        _no_fault(found.error)
        if not found.choices:
            raise Broken("the answer holds no choice", hint=URL_HINT)
        choice = found.choices[0]
        _no_refusal(choice.message.refusal)
        if choice.message.content is None:
            raise Broken("the answer holds no text", hint="does this model write text?")
        return Answer(
            text=choice.message.content,
            finish=choice.finish_reason or FINISH_STOP,
            tokens=_tokens(found.usage),
        )

    def embed(self, ask: EmbedAsk, texts: Sequence[str], *, key: str | None) -> Request:
        """Embeddings of `texts`."""
        body: dict[str, Value] = {**ask.extra, "model": self._model, "input": list(texts)}
        body["encoding_format"] = "float"
        return Request(path="/embeddings", headers=_headers(key), body=encoded(body), secret=key)

    def vectors(self, body: bytes, count: int) -> tuple[list[list[float]], Tokens | None]:
        """Vectors by their indexes: the order in the body means nothing."""
        found = decoded(body, _Embeddings, "the answer")
        by_index = {one.index: one.embedding for one in found.data}
        if len(found.data) != count or by_index.keys() != set(range(count)):
            raise Broken(f"{len(found.data)} vectors came for {count} texts", hint=URL_HINT)
        vectors = [by_index[at] for at in range(count)]
        if len({len(vector) for vector in vectors}) != 1 or not vectors[0]:
            raise Broken("the vectors have different lengths, or none", hint="is this an embedding model?")
        if not all(math.isfinite(number) for vector in vectors for number in vector):
            raise Broken("a vector holds what is no finite number", hint="is this an embedding model?")
        return vectors, _tokens(found.usage)

    def complaint(self, body: bytes) -> str:
        """The message of an error."""
        return complaint_of(body)


class _Reading:
    """A streamed chat completion."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._refusal: list[str] = []
        self._finish: str | None = None
        self._usage: _Usage | None = None

    def feed(self, data: str) -> str:
        if data == _DONE:
            self._finish = self._finish or FINISH_STOP
            return ""
        found = decoded(data, _Completion, "an event of the stream")
        _no_fault(found.error)
        self._usage = found.usage or self._usage
        piece = ""
        for choice in found.choices[:1]:
            piece = choice.delta.content or ""
            self._finish = choice.finish_reason or self._finish
            if choice.delta.refusal:
                self._refusal.append(choice.delta.refusal)
        if self._finish and self._refusal:
            _no_refusal("".join(self._refusal))
        if piece:
            self._pieces.append(piece)
        return piece

    @property
    def done(self) -> bool:
        return self._finish is not None

    def answer(self) -> Answer:
        return Answer(text="".join(self._pieces), finish=self._finish or "", tokens=_tokens(self._usage))


def complaint_of(body: bytes) -> str:
    """The message in the body of an error, as OpenAI, Anthropic and many others shape it."""
    text = body.decode("utf-8", "replace")
    try:
        found = msgspec.json.decode(body, type=_Error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return text
    if isinstance(found.error, _Fault):
        return found.error.message
    return found.error or found.message or text


def _headers(key: str | None) -> Mapping[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def _tokens(usage: _Usage | None) -> Tokens | None:
    if usage is None:
        return None
    details = usage.prompt_tokens_details
    return Tokens.told(
        read=usage.prompt_tokens,
        written=usage.completion_tokens,
        cached=0 if details is None else details.cached_tokens or 0,
    )


def _no_fault(fault: _Fault | str | None) -> None:
    """Some servers begin with 200 and then tell of an error."""
    if fault is not None:
        said = fault if isinstance(fault, str) else fault.message or str(fault.code or fault.type)
        raise Overloaded(f"the provider broke off: {said}", hint="try again later")


def _no_refusal(refusal: str | None) -> None:
    if refusal:
        raise ModelFailed(f"the model refused: {refusal}", code="model-refused", hint="ask in another way")
