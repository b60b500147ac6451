"""One attempt of a node: what it is given, and what it returned. Values only."""

from collections.abc import Callable, Mapping

import msgspec

from symphony.pit.tracker.core.changes import Base
from symphony.pit.tracker.nodes.spending import Meter
from symphony.pit.tracker.nodes.work import CallWork
from symphony.ports.models import Usage
from symphony.ports.values import StoredValue


def nothing() -> None:
    """Do nothing, because there is no grant to give back."""


class NodeAttempt(msgspec.Struct, frozen=True):
    """One attempt: its work with all expressions evaluated, its inputs, the node's full name.

    `number` counts the node's attempts from 1. `base` is the recorded state of the round that the node runs
    in; outputs that add little to it need no store. If the node asks a model, `config` is the model's and
    `meter` counts what it uses; an operator finds its configuration in `work`. An attempt that runs `afresh`
    takes no result from the cache, but its own result is kept.
    """

    work: CallWork
    inputs: Mapping[str, StoredValue]
    node: str
    number: int
    base: Base | None = None
    config: Mapping[str, StoredValue] | None = None
    meter: Meter | None = None
    afresh: bool = False
    release: Callable[[], None] = nothing
    """Gives back the grant for the call; called when that is over, and harmless when called again."""

    def whole(self) -> "NodeAttempt":
        """Return the attempt without `base`, for outputs that must make sense without a round."""
        return msgspec.structs.replace(self, base=None)


class Finished(msgspec.Struct, frozen=True):
    """A node's result and its models' usage. `cached_from` is the run that a cache hit came from.

    `body` is the recorded form of outputs that have been checked; None if they have not been.
    """

    outputs: Mapping[str, StoredValue]
    cached_from: str | None = None
    usage: Usage | None = None
    body: bytes | None = None


def never() -> bool:
    """Return False, for attempts that nobody can cancel while their code runs."""
    return False


Cancelled = Callable[[], bool]
"""Returns True if the attempt is cancelled. Called by its code, from any thread."""
