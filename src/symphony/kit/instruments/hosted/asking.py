"""Checks a node's request to a model, its inputs and configuration, once for every provider. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from symphony.kit.instruments.hosted import schemas
from symphony.kit.instruments.hosted.prices import tokens_at_most
from symphony.ports.models import ModelFailed
from symphony.ports.values import Value

Role: TypeAlias = Literal["system", "user", "assistant"]
_ROLES: tuple[Role, ...] = ("system", "user", "assistant")
RESERVED = frozenset({
    "model", "messages", "stream", "stream_options", "system", "temperature", "max_tokens",
    "max_completion_tokens", "response_format", "tools", "tool_choice", "n", "input",
})  # fmt: skip
"""What `config` may not set: it has a port or is the adapter's own."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatAsk:
    """A question to a chat model. `extra` goes into the request as it is."""

    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float | None = None
    schema: Mapping[str, Value] | None = None
    extra: Mapping[str, Value]

    @property
    def tokens_in_most(self) -> int:
        """An upper estimate of what the model reads."""
        texts = [message.content for message in self.messages]
        return tokens_at_most(texts if self.schema is None else [*texts, _text_of(self.schema)])


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedAsk:
    """Texts for an embedding model."""

    texts: tuple[str, ...]
    extra: Mapping[str, Value]


def chat_ask(inputs: Mapping[str, Value], config: Mapping[str, Value], *, max_tokens: int) -> ChatAsk:
    """Return the question in a node's inputs. Raises ModelFailed `type-mismatch`, `unknown-port`,
    `unknown-key`.
    """
    _known(inputs, ("prompt", "messages", "system", "temperature", "max_tokens", "schema"))
    prompt, given = inputs.get("prompt"), inputs.get("messages")
    if (prompt is None) == (given is None):
        raise _wrong("give either prompt or messages", "prompt is one question, messages a conversation")
    messages = [Message("user", _text("prompt", prompt))] if given is None else _messages(given)
    if (system := inputs.get("system")) is not None:
        messages.insert(0, Message("system", _text("system", system)))
    if all(message.role == "system" for message in messages):
        raise _wrong("there is no message from a user", "add one with the role user")
    return ChatAsk(
        messages=tuple(messages),
        max_tokens=_max_tokens(inputs.get("max_tokens"), max_tokens),
        temperature=_temperature(inputs.get("temperature")),
        schema=_schema(inputs.get("schema")),
        extra=_extra(config),
    )


def embed_ask(inputs: Mapping[str, Value], config: Mapping[str, Value]) -> EmbedAsk:
    """Return the texts in a node's inputs. Raises ModelFailed as `chat_ask`."""
    _known(inputs, ("texts",))
    given = inputs.get("texts")
    if not isinstance(given, list):
        raise _wrong("texts must be a list of strings", "write texts: [a, b]")
    return EmbedAsk(
        texts=tuple(_text(f"texts[{at}]", text) for at, text in enumerate(given)), extra=_extra(config)
    )


def _known(inputs: Mapping[str, Value], names: Sequence[str]) -> None:
    for name in inputs:
        if name not in names:
            hint = f"its inputs are {', '.join(names)}"
            raise ModelFailed(f"the model has no input {name!r}", code="unknown-port", hint=hint)


def _messages(given: Value) -> list[Message]:
    if not isinstance(given, list) or not given:
        raise _wrong("messages must be a list of maps", "write messages: [{role: user, content: Hello}]")
    found: list[Message] = []
    for at, one in enumerate(given):
        if not isinstance(one, dict) or one.keys() != {"role", "content"}:
            raise _wrong(f"messages[{at}] must have role and content", "and nothing else")
        role = next((known for known in _ROLES if known == one["role"]), None)
        if role is None:
            raise _wrong(f"messages[{at}].role must be {', '.join(_ROLES)}", "a question is from the user")
        found.append(Message(role, _text(f"messages[{at}].content", one["content"])))
    return found


def _text(name: str, value: Value) -> str:
    if not isinstance(value, str):
        raise _wrong(f"{name} must be a string", "convert it first, for instance with string(x)")
    return value


def _temperature(value: Value) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 2:
        raise _wrong("temperature must be a number from 0 to 2", "0 gives the likeliest words")
    return float(value)


def _max_tokens(value: Value, default: int) -> int:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 1_000_000:
        raise _wrong("max_tokens must be an integer from 1 to 1,000,000", "it limits the answer's length")
    return value


def _schema(value: Value) -> Mapping[str, Value] | None:
    if value is None:
        return None
    if why := schemas.unsupported(value):
        raise ModelFailed(
            f"schema: {why}",
            code="schema-unsupported",
            hint=f"the keywords that are checked: {', '.join(sorted(schemas.KEYWORDS))}",
        )
    assert isinstance(value, dict)
    return value


def _extra(config: Mapping[str, Value]) -> Mapping[str, Value]:
    for key in config:
        if key in RESERVED:
            raise ModelFailed(
                f"config cannot set {key!r}", code="unknown-key", hint="it is an input, or the adapter's own"
            )
    return dict(config)


def _text_of(value: Value | Mapping[str, Value]) -> str:
    """Return `value` roughly as it will be sent, to estimate its tokens; what JSON cannot carry is
    refused later.
    """
    return json.dumps(value, default=str)


def _wrong(message: str, hint: str) -> ModelFailed:
    return ModelFailed(message, code="type-mismatch", hint=hint)
