"""Results that a run takes from another one, and what it is asked to run again. Values only."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from symphony.pit.artifacts.values.codec import encode_value, value_digest
from symphony.pit.tracker.core.records import Reused, encode_reused
from symphony.pit.tracker.engine.mended import Mending
from symphony.pit.tracker.nodes.contents import moved_name
from symphony.pit.tracker.nodes.execution import Executor
from symphony.pit.tracker.nodes.sealing import Sealer
from symphony.ports.steering import ReuseSummary
from symphony.ports.values import ArtifactRef, StoredValue, Value


class RerunScope(msgspec.Struct, frozen=True, kw_only=True):
    """The steps that shall run though they succeeded.

    They are the steps `first`, by full name, what reads one of `inputs`, and what was `mended`.
    """

    first: tuple[str, ...] = ()
    inputs: frozenset[str] = frozenset()
    mended: Mending | None = None
    """The changes, if the run takes results from a workflow that is not its own."""


class ReusedResult(msgspec.Struct, frozen=True, kw_only=True):
    """A node's outputs, the branch that it took, and the run that it ran in.

    `name` is what it was called there; None if that is the name that it is known by.
    """

    outputs: Mapping[str, StoredValue]
    taken: str | None
    run: str
    name: str | None = None

    def kept(self, executor: Executor) -> "ReusedResult":
        """The result with large values in the store."""
        outputs = {port: executor.store.keep_large(value) for port, value in self.outputs.items()}
        return msgspec.structs.replace(self, outputs=outputs)

    def held(self, executor: Executor) -> bool:
        """True if the bodies of all artifacts are there, and of their size. They are not read."""
        return all(executor.store.holds(reference) for _, reference in self.references())

    def references(self) -> Iterator[tuple[str, ArtifactRef]]:
        """The ports that hold artifacts."""
        for port, value in self.outputs.items():
            if isinstance(value, ArtifactRef):
                yield port, value


class Reusable(msgspec.Struct, frozen=True, kw_only=True):
    """The results that another run may take, by full name, and a summary in a few words.

    Nodes that are `divided` are taken in parts, all of them.
    """

    results: Mapping[str, ReusedResult]
    divided: frozenset[str] = frozenset()
    idle: Callable[[], frozenset[str]] = frozenset
    """Gives the steps inside of others, without numbers, of which all results are taken; none of rounds."""
    digests: Mapping[str, Collection[str | None]] = {}
    """Of fan-outs whose lists may be others, what all elements were made of, also those that failed."""
    summary: ReuseSummary

    def kept(self, executor: Executor) -> "Reusable":
        """Return these results with large values in the store. Rounds of loops hold their own."""
        digests = moved_name("")
        kept = {
            name: result if name.endswith(digests) else result.kept(executor)
            for name, result in self.results.items()
        }
        return msgspec.structs.replace(self, results=kept)


class Borrow(Protocol):
    """Returns the results to take from the run of this id if these steps run; None if the run is gone."""

    def __call__(
        self, run_id: str, steps: Sequence[str], mended: Mending | None = None
    ) -> Mapping[str, ReusedResult] | None: ...


def changed_inputs(before: Mapping[str, Value], after: Mapping[str, Value]) -> frozenset[str]:
    """The inputs of a run whose values are others than `before`: in types and orders of keys, too."""
    return frozenset(
        name for name, value in after.items() if value_digest(before.get(name)) != value_digest(value)
    )


def written(result: ReusedResult, sealer: Sealer) -> bytes:
    """A result for the journal of the run that reuses it."""
    sealed = {port: sealer.seal(value) for port, value in result.outputs.items()}
    return encode_reused(Reused(encode_value(sealed), result.taken, result.run, result.name))
