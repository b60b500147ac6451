"""The differences between two runs. Values only; `a` and `b` are the runs, in this order."""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from symphony.ports.models import Usage
from symphony.ports.runs import NodeStatus, RunError, RunResult
from symphony.ports.values import JSON, StoredValue

ChangeKind: TypeAlias = Literal["added", "removed", "changed"]


class DocumentChange(msgspec.Struct, frozen=True, kw_only=True):
    """One place in the workflow, such as `nodes.count.inputs.value`, with what each run has there."""

    place: str
    kind: ChangeKind
    a: JSON = None
    b: JSON = None


class ValueChange(msgspec.Struct, frozen=True, kw_only=True):
    """An input or an output by name; None where a run has none of that name."""

    name: str
    kind: ChangeKind
    a: StoredValue = None
    b: StoredValue = None


class NodeSide(msgspec.Struct, frozen=True, kw_only=True):
    """One run's side of the comparison of a node or an element. `reused_from` is the run that its result
    was reused from.

    `label` is the element's.
    """

    status: NodeStatus
    attempts: int = 0
    took_s: float | None = None
    error: RunError | None = None
    reused_from: str | None = None
    usage: Usage | None = None
    label: str | None = None


class NodeComparison(msgspec.Struct, frozen=True, kw_only=True):
    """A node of two runs. A side is None where it was not there, `same_result` where none is known.

    `unknown`: it succeeded in both, and nothing tells whether it gave the same.
    """

    name: str
    a: NodeSide | None
    b: NodeSide | None
    same_result: bool | None = None
    unknown: bool = False

    @property
    def differs(self) -> bool:
        """True if it ended differently or gave other outputs. Times, tries and reuse do not count."""
        if self.a is None or self.b is None or self.same_result is False:
            return True
        return _outcome(self.a) != _outcome(self.b)


class RunComparison(msgspec.Struct, frozen=True, kw_only=True):
    """All differences between two runs, and all nodes of both."""

    a: RunResult
    b: RunResult
    workflow: Sequence[DocumentChange] = ()
    inputs: Sequence[ValueChange] = ()
    outputs: Sequence[ValueChange] = ()
    nodes: Mapping[str, NodeComparison] = {}

    @property
    def same(self) -> bool:
        """True if both runs are known to agree in workflow, inputs, outcome and results.

        Times, reuse and usage do not count.
        """
        return not (
            self.workflow
            or self.inputs
            or self.outputs
            or self.a.status is not self.b.status
            or _code(self.a.error) != _code(self.b.error)
            or any(node.differs or node.unknown for node in self.nodes.values())
        )


def _outcome(side: NodeSide) -> tuple[NodeStatus, tuple[str, str] | None]:
    ended = NodeStatus.SUCCEEDED if side.status is NodeStatus.CACHED else side.status
    return ended, _code(side.error)


def _code(error: RunError | None) -> tuple[str, str] | None:
    return None if error is None else (error.code, error.message)
