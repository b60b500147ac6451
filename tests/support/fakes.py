"""Stand-ins for what an operator, a model or an engine talks to; they remember what they were told."""

import asyncio
from collections.abc import Callable, Mapping

from tests.support.waiting import PATIENCE_S

from symphony.pit.tracker.nodes.evaluating import expression
from symphony.pit.workers import Task
from symphony.ports.models import Estimate, ModelFailed, Usage
from symphony.ports.runs import RunEvent
from symphony.ports.values import Value


class Printed:
    """A node's log: what is printed, by stream and line."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []
        self._news = asyncio.Event()

    def __call__(self, text: str, stream: str) -> None:
        self.lines += [(stream, line) for line in text.split("\n")]
        self._news.set()

    async def until(self, text: str) -> str:
        """The first line that holds `text`, once it is there."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if (found := next((line for _, line in self.lines if text in line), None)) is not None:
                    return found
                self._news.clear()
                await self._news.wait()


class Listener:
    """Whoever calls a model: keeps what it hears, and lets `most` calls through."""

    def __init__(self, most: int = 1000) -> None:
        self.most = most
        self.run: str | None = None
        self.priority = 0
        self.reserved: list[Estimate] = []
        self.usages: list[Usage] = []
        self.tokens: list[str] = []
        self.first = asyncio.Event()

    @property
    def usage(self) -> Usage:
        """What all calls together used."""
        return sum(self.usages, Usage())

    async def reserve(self, model: str, most: Estimate) -> None:
        if len(self.reserved) == self.most:
            raise ModelFailed("enough", code="budget-exceeded")
        self.reserved.append(most)

    def used(self, usage: Usage) -> None:
        self.usages.append(usage)

    def token(self, text: str) -> None:
        self.tokens.append(text)
        self.first.set()


class Elsewhere:
    """Evaluates expressions as a worker does, as many turns of the loop later as `turns` says.

    If `held` is set, it waits for that instead.
    """

    def __init__(self, turns: Callable[[], int] = lambda: 1) -> None:
        self._turns = turns
        self.calls = 0
        self.asked = asyncio.Event()
        self.held: asyncio.Event | None = None

    async def call(self, task: Task, _output: object, *, timeout_s: float | None) -> Mapping[str, Value]:
        self.calls += 1
        self.asked.set()
        if self.held is not None:
            await self.held.wait()
        else:
            for _ in range(self._turns()):
                await asyncio.sleep(0)
        return expression.ports(expression.function(**task.inputs))

    async def close(self) -> None: ...


def event(at: float, type: str, node: str | None = None, **data: Value) -> RunEvent:
    """An event of a run that never was."""
    return RunEvent(seq=1, type=type, at=at, node=node, data=data)
