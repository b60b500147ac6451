"""Runs one operator of the kit as the engine does, without the engine."""

import asyncio
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from symphony.kit import operators
from symphony.ports.values import Value
from symphony.sdk import Context


class Runner:
    """`run("text.join", parts=[…])` gives the output ports."""

    def __init__(self, folder: Path) -> None:
        self.cwd = self.base = folder
        self.attempt = 1
        self.cancelled: Callable[[], bool] = lambda: False
        self.logged: list[tuple[str, str]] = []

    def context(self) -> Context:
        return Context(
            run_id="run-1",
            node="node",
            attempt=self.attempt,
            cwd=self.cwd,
            base=self.base,
            log=lambda text, stream: self.logged.append((stream, text)),
            cancelled=self.cancelled,
        )

    def __call__(self, operator_name: str, /, **inputs: Value) -> dict[str, Any]:
        one = operators()[operator_name]
        arguments: dict[str, object] = dict(inputs)
        if one.context_name is not None:
            arguments[one.context_name] = self.context()
        returned = one.function(**arguments)
        if inspect.iscoroutine(returned):
            returned = asyncio.run(returned)
        return one.ports(returned)


@pytest.fixture
def run(tmp_path: Path) -> Runner:
    return Runner(tmp_path)
