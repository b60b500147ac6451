"""Running a workflow in a test."""

import asyncio
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from symphony.app import RunHandle, Symphony
from symphony.commons.settings import Config
from symphony.ports.values import ArtifactRef, StoredValue, Value
from symphony.sdk import Operator
from symphony.testing.clock import FakeClock, drive
from symphony.testing.models import FakeModel, FakeModels
from symphony.testing.outcome import Outcome
from symphony.workflow import loads
from symphony.workflow.model import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A person's answer to an approval."""

    approved: bool
    by: str | None = None
    comment: str | None = None


def workflow(text: str) -> Workflow:
    """Return the workflow that a YAML text describes; the text may be indented. Raises WorkflowInvalid."""
    return loads(textwrap.dedent(text).encode(), "yaml")


def run(
    what: Workflow | Path | str,
    inputs: Mapping[str, Value] | None = None,
    *,
    models: Mapping[str, FakeModel] | None = None,
    operators: Sequence[Operator | Path | str] = (),
    clock: FakeClock | None = None,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    concurrency: int | None = None,
    config: Config | None = None,
    answers: Mapping[str, bool | Answer] | None = None,
    cancel_after_s: float | None = None,
) -> Outcome:
    """Run a workflow, or the one in a file, to its end in memory.

    Models are only those given; operators are the kit's and those given, which replace the kit's.
    Settings are the defaults unless `config` is given: those of the machine do not matter.
    `answers` are given to approvals as soon as they ask: True approves. A name without numbers, such as
    `loop.gate`, answers in every round and for every element. One that nobody answers times out, or
    leaves the run waiting. `cancel_after_s` cancels the run at that time of `clock`. Nothing is told of its
    end: what the workflow's `on_finish` would get is in `told` of the outcome. Raises as `Symphony.start`
    does. Not for use inside a running event loop.
    """
    timed = clock or FakeClock()
    fakes = models or {}

    async def whole() -> Outcome:
        async with Symphony.open(
            operators=operators,
            memory=True,
            config=config or Config(),
            clock=timed,
            models=FakeModels(fakes),
            catalog={name: fake.info(name) for name, fake in fakes.items()},
        ) as symphony:
            told = list[Mapping[str, str]]()
            symphony.parts.on_finish = lambda _, variables: told.append(variables)
            began_s = timed.monotonic_s()
            handle = await symphony.start(
                what, inputs, cwd=cwd, cache=False, concurrency=concurrency, environment=environment
            )
            for name, given in (answers or {}).items():
                answer = given if isinstance(given, Answer) else Answer(approved=given)
                handle.answer(name, approved=answer.approved, by=answer.by, comment=answer.comment)
            if cancel_after_s is not None:
                asyncio.get_running_loop().call_later(cancel_after_s, handle.cancel)
            result = await handle.result()
            elapsed_s = timed.monotonic_s() - began_s
            events = [event async for event in handle.events()]
            outputs = {name: _whole(handle, value) for name, value in result.outputs.items()}
            return Outcome(
                result=result, outputs=outputs, events=events, elapsed_s=elapsed_s,
                told=told[0] if told else None,
            )  # fmt: skip

    return drive(whole(), timed)


def _whole(handle: RunHandle, value: StoredValue) -> Value:
    return handle.load(value) if isinstance(value, ArtifactRef) else value
