"""The ports that configured models have, by kind."""

import hashlib
from pathlib import Path

from symphony.commons.settings import ModelConfig
from symphony.workflow.catalog import ModelInfo, Port
from symphony.workflow.types import PortType, list_of

VERSION = "1.0.0"
"""The version of the adapters: raised when the same inputs may give other outputs than before."""

_USAGE = Port(type=PortType("json"), description="tokens read and written, calls, and the cost if known")
CHAT_INPUTS = {
    "prompt": Port(
        type=PortType("string", optional=True), default=None, description="what to ask; or give messages"
    ),
    "messages": Port(
        type=PortType("list", item=PortType("json"), optional=True),
        default=None,
        description="a conversation: maps of role (user, assistant, system) and content",
    ),
    "system": Port(
        type=PortType("string", optional=True), default=None, description="how the model should behave"
    ),
    "temperature": Port(
        type=PortType("number", optional=True), default=None, description="0 for the likeliest words; up to 2"
    ),
    "max_tokens": Port(
        type=PortType("integer", optional=True),
        default=None,
        description="the answer's longest length; by default that of the settings",
    ),
    "schema": Port(
        type=PortType("json", optional=True),
        default=None,
        description="JSON Schema of the answer, which is then in json, checked",
    ),
}
CHAT_OUTPUTS = {
    "text": Port(type=PortType("string"), description="the answer"),
    "json": Port(
        type=PortType("json", optional=True), description="the answer as a value, if schema is given"
    ),
    "usage": _USAGE,
    "finish_reason": Port(type=PortType("string"), description="stop, length, or the provider's own word"),
}
EMBEDDING_INPUTS = {"texts": Port(type=list_of(PortType("string")), description="texts, in any number")}
EMBEDDING_OUTPUTS = {
    "vectors": Port(type=list_of(PortType("embedding")), description="one vector per text, in order"),
    "usage": _USAGE,
}


def model_info(model: str, config: ModelConfig, *, summary: str = "") -> ModelInfo:
    """Return what validation and people see of a configured model."""
    chat = config.kind == "chat"
    behind = config.model or model
    return ModelInfo(
        id=model,
        version=VERSION,
        inputs=CHAT_INPUTS if chat else EMBEDDING_INPUTS,
        outputs=CHAT_OUTPUTS if chat else EMBEDDING_OUTPUTS,
        summary=summary or f"{'Chat' if chat else 'Embeddings'}: {behind} at {config.provider}",
        provider=config.provider or "",
    )


def fingerprint(model: str, config: ModelConfig) -> str:
    """Changes with whatever decides an answer: adapter, provider, place, the model there, its limits."""
    place = (config.provider, config.kind, config.url, config.model or model, config.file)
    parts = (VERSION, *place, *_state(config.file), config.max_tokens, config.context)
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def _state(file: str | None) -> tuple[int, ...]:
    """Return what changes when a model's weights do: to digest gigabytes takes longer than to ask them."""
    try:
        found = None if file is None else Path(file).stat()
    except OSError:
        return ()  # a call of the model reports it
    if found is None:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
