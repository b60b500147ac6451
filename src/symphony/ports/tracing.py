"""The tracing seam: hands a run's events, one by one, to an adapter that draws traces."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from symphony.ports.runs import RunEvent


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """The model that an instrument's step asks. `operation`: chat or embeddings."""

    id: str
    provider: str
    operation: str


class Shape(Protocol):
    """The kinds of a run's steps, by their full names."""

    def kind(self, step: str) -> tuple[str, str]:
        """Its kind (operator, instrument, command, …) and what it runs; `unknown` if that is not known."""
        ...

    def before(self, step: str) -> Sequence[str]:
        """Return the steps of the same graph that it waited for."""
        ...

    def model(self, step: str) -> Model | None:
        """Return the model that it asks, if it asks one."""
        ...


class RunAbout(msgspec.Struct, frozen=True, kw_only=True):
    """The run to trace. `known` is the number of first events that an earlier process has traced."""

    run_id: str
    workflow: str
    version: str
    known: int = 0


class RunTrace(Protocol):
    """Takes one run's events. Neither method blocks or raises."""

    def add(self, event: RunEvent) -> None:
        """Trace the next durable event, in order."""
        ...

    def end(self) -> None:
        """Note that nothing more comes from this process, whether the run has ended or not."""
        ...


class Tracing(Protocol):
    """Where traces go."""

    def run(self, about: RunAbout, shape: Shape) -> RunTrace:
        """Begin to trace a run."""
        ...

    def close(self, patience_s: float) -> None:
        """Hand over what is left, waiting at most the given seconds. Blocks; never raises."""
        ...
