"""Models that say what the test wants, and remember what they were asked."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from symphony.kit.instruments.hosted.catalog import (
    CHAT_INPUTS,
    CHAT_OUTPUTS,
    EMBEDDING_INPUTS,
    EMBEDDING_OUTPUTS,
)
from symphony.ports.models import UNMETERED, Caller, Estimate, ModelUnavailable, Usage, drawn_at_random
from symphony.ports.values import Value
from symphony.testing.scripts import After, Script
from symphony.workflow.catalog import ModelInfo, Port

Said: TypeAlias = str | Mapping[str, Value]
"""A text, or the model's output ports by name; ports that are left out are filled in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a model."""

    model: str
    inputs: Mapping[str, Value]
    config: Mapping[str, Value] = field(default_factory=dict)


Answer: TypeAlias = Said | Exception | Callable[[Call], Said] | After[Said | Exception]


class FakeModel:
    """A model with a script. `calls` holds every question, in order.

    Its ports are those of a chat model unless others are given. `usage` is what each call is said
    to use up, which counts against budgets. `chunks`: in how many pieces an answer's text streams.
    """

    def __init__(
        self,
        *answers: Answer,
        inputs: Mapping[str, Port] = CHAT_INPUTS,
        outputs: Mapping[str, Port] = CHAT_OUTPUTS,
        usage: Usage | None = None,
        chunks: int = 1,
    ) -> None:
        self.inputs, self.outputs = inputs, outputs
        self.usage = usage or Usage(calls=1)
        self.calls: list[Call] = []
        self._chunks = max(1, chunks)
        self._script: Script[Call, Said] = Script("the fake model", answers)

    @classmethod
    def embedding(cls, dimensions: int = 8) -> "FakeModel":
        """Return a model that embeds: equal texts get equal unit vectors, others differ, always the same."""
        return cls(
            lambda call: {"vectors": [_vector(str(text), dimensions) for text in _texts(call)]},
            inputs=EMBEDDING_INPUTS,
            outputs=EMBEDDING_OUTPUTS,
        )

    def info(self, name: str) -> ModelInfo:
        """Return the model as workflows are checked against it."""
        return ModelInfo(id=name, version="1.0.0", inputs=self.inputs, outputs=self.outputs, provider="fake")

    async def ask(self, call: Call, caller: Caller) -> Mapping[str, Value]:
        """Return the next answer's ports. Raises what the script says."""
        self.calls.append(call)
        await caller.reserve(
            call.model, Estimate(tokens_in=self.usage.tokens_in, tokens_out=self.usage.tokens_out)
        )
        try:
            said = await self._script.answer(call)
        finally:
            caller.used(self.usage)
        text = said if isinstance(said, str) else said.get("text")
        if isinstance(text, str):
            for piece in _pieces(text, self._chunks):
                caller.token(piece)
        return self._ports({"text": said} if isinstance(said, str) else said)

    def _ports(self, said: Mapping[str, Value]) -> Mapping[str, Value]:
        filled: dict[str, Value] = {
            "text": json.dumps(said["json"]) if "json" in said else "",
            "json": None,
            "usage": {"calls": self.usage.calls},
            "finish_reason": "stop",
        }
        return {name: said.get(name, filled.get(name)) for name in self.outputs} | dict(said)


class FakeModels:
    """`symphony.ports.models.Models` over fakes by id; any other id is unavailable."""

    def __init__(self, models: Mapping[str, FakeModel]) -> None:
        self.models = dict(models)
        self.foreseen: list[tuple[str, Mapping[str, int] | None]] = []
        """What runs said that they need soon, in order; None when a run had ended."""

    async def invoke(
        self,
        model: str,
        inputs: Mapping[str, Value],
        config: Mapping[str, Value],
        caller: Caller = UNMETERED,
    ) -> Mapping[str, Value]:
        """Answer as the fake's script says."""
        return await self._of(model).ask(Call(model=model, inputs=dict(inputs), config=dict(config)), caller)

    def estimate(self, model: str, inputs: Mapping[str, Value], config: Mapping[str, Value]) -> Estimate:
        """Return what each of its calls is said to use up."""
        usage = self._of(model).usage
        return Estimate(tokens_in=usage.tokens_in, tokens_out=usage.tokens_out, cost=usage.cost)

    def fingerprint(self, model: str) -> str:
        """Always the same: nothing is cached in memory."""
        self._of(model)
        return "fake"

    def sampled(self, model: str, inputs: Mapping[str, object]) -> bool:
        """Like a real chat, return True at a temperature above 0."""
        return drawn_at_random(inputs)

    def foresee(self, run: str, needs: Mapping[str, int] | None) -> None:
        """Kept in `foreseen`."""
        self.foreseen.append((run, needs))

    async def close(self) -> None:
        """Nothing to close."""

    def _of(self, model: str) -> FakeModel:
        if model not in self.models:
            known = ", ".join(self.models) or "none"
            raise ModelUnavailable(f"the test gives no model {model!r}", hint=f"models of the test: {known}")
        return self.models[model]


def _texts(call: Call) -> list[Value]:
    texts = call.inputs.get("texts")
    return texts if isinstance(texts, list) else []


def _vector(text: str, dimensions: int) -> Value:
    digest = hashlib.shake_256(text.encode("utf-8", "replace")).digest(dimensions)
    numbers = [byte - 127.5 for byte in digest]
    length = sum(number * number for number in numbers) ** 0.5
    return [number / length for number in numbers]


def _pieces(text: str, count: int) -> list[str]:
    size = -(-len(text) // count) or 1
    return [text[at : at + size] for at in range(0, len(text), size)]
