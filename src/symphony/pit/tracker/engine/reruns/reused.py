"""Results that a run reuses from another one, and what it must run again. Values only."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from symphony.pit.artifacts.values.codec import encode_value, value_digest
from symphony.pit.tracker.core.records import Reused, encode_reused
from symphony.pit.tracker.engine.reruns.mended import Mending
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
    """The changes, if the results come from another version of the workflow."""


class ReusedResult(msgspec.Struct, frozen=True, kw_only=True):
    """A node's outputs, the branch that it took, and the run that it ran in.

    `name` is its name in that run; None if it has the same name here.
    """

    outputs: Mapping[str, StoredValue]
    taken: str | None
    run: str
    name: str | None = None

    def kept(self, executor: Executor) -> "ReusedResult":
        """Return the result with large values in the store."""
        outputs = {port: executor.store.keep_large(value) for port, value in self.outputs.items()}
        return msgspec.structs.replace(self, outputs=outputs)

    def held(self, executor: Executor) -> bool:
        """True if the bodies of all artifacts are there, and of their size. They are not read."""
        return all(executor.store.holds(reference) for _, reference in self.references())

    def references(self) -> Iterator[tuple[str, ArtifactRef]]:
        """Yield the ports that hold artifacts, with their references."""
        for port, value in self.outputs.items():
            if isinstance(value, ArtifactRef):
                yield port, value


class Reusable(msgspec.Struct, frozen=True, kw_only=True):
    """The results that another run may take, by full name, and a summary in a few words.

    Nodes in `divided` are reused completely, but in parts.
    """

    results: Mapping[str, ReusedResult]
    divided: frozenset[str] = frozenset()
    idle: Callable[[], frozenset[str]] = frozenset
    """Gives the steps inside of others, without numbers, of which all results are taken; none of rounds."""
    digests: Mapping[str, Collection[str | None]] = {}
    """Of fan-outs whose lists may be others, what all elements were made of, also those that failed."""
    summary: ReuseSummary

    def kept(self, executor: Executor) -> "Reusable":
        """Return these results with large values in the store. Rounds of loops already have theirs there."""
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
    """Return the inputs of a run that differ from `before`; types and the order of keys count too."""
    return frozenset(
        name for name, value in after.items() if value_digest(before.get(name)) != value_digest(value)
    )


def written(result: ReusedResult, sealer: Sealer) -> bytes:
    """Encode a result for the journal of the run that reuses it."""
    sealed = {port: sealer.seal(value) for port, value in result.outputs.items()}
    return encode_reused(Reused(encode_value(sealed), result.taken, result.run, result.name))
