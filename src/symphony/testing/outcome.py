"""The outcome of a test run, and the questions that tests ask of it."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from symphony.pit.tracker.insight.history import History
from symphony.ports.runs import NodeResult, NodeStatus, RunEvent, RunResult, RunStatus
from symphony.ports.values import Value


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Outcome:
    """The outcome of a run. `outputs` are whole values, artifacts read; `elapsed_s` is on the test's clock.

    `told` is what the workflow's `on_finish` would have been told: RUN, WORKFLOW, STATUS and ERROR.
    """

    result: RunResult
    outputs: Mapping[str, Value]
    events: Sequence[RunEvent]
    elapsed_s: float
    told: Mapping[str, str] | None = None

    def __repr__(self) -> str:
        """Short, whatever the run gave: asyncio spells what tasks return."""
        return f"<outcome of {self.result!r}>"

    @property
    def status(self) -> RunStatus:
        """The status of the run."""
        return self.result.status

    @property
    def history(self) -> History:
        """Its steps, with every attempt."""
        return History(self.events)

    def node(self, name: str) -> NodeResult:
        """Return one node, element or inner node by its full name. Raises AssertionError if there is none."""
        found = self.result.nodes.get(name)
        assert found is not None, f"no node {name!r}; there are {', '.join(self.result.nodes) or 'none'}"
        return found

    def assert_succeeded(self, **outputs: Value) -> None:
        """The run succeeded, and these outputs are as given."""
        assert self.status is RunStatus.SUCCEEDED, f"the run {self._told()}"
        for name, expected in outputs.items():
            assert name in self.outputs, f"no output {name!r}; there are {', '.join(self.outputs) or 'none'}"
            assert self.outputs[name] == expected, (
                f"output {name} is {self.outputs[name]!r}, not {expected!r}"
            )

    def assert_failed(self, *, code: str | None = None, node: str | None = None) -> None:
        """The run failed, with this code and at this node if they are named."""
        assert self.status is RunStatus.FAILED, f"the run {self._told()}, it did not fail"
        error = self.result.error
        assert error is not None
        assert code in (None, error.code), f"the run {self._told()}, not with {code}"
        assert node in (None, error.node), f"the run {self._told()}, not at {node}"

    def assert_node(
        self,
        name: str,
        *,
        status: NodeStatus | str = NodeStatus.SUCCEEDED,
        attempts: int | None = None,
        code: str | None = None,
    ) -> None:
        """The node ended so, after so many attempts, with this error."""
        found = self.node(name)
        why = "" if found.error is None else f": [{found.error.code}] {found.error.message}"
        assert found.status == status, f"{name} is {found.status}, not {status}{why}"
        assert attempts in (None, found.attempts), f"{name} took {found.attempts} attempts, not {attempts}"
        if code is not None:
            assert found.error is not None, f"{name} has no error"
            assert found.error.code == code, f"{name} has the error {found.error.code}, not {code}"

    def assert_order(self, *names: str) -> None:
        """Each of these ended before the next one began."""
        for earlier, later in itertools.pairwise(names):
            ended, began = self._place(earlier, last=True), self._place(later, last=False)
            assert ended < began, f"{later} began before {earlier} had ended"

    def _place(self, name: str, *, last: bool) -> int:
        self.node(name)
        places = [i for i, event in enumerate(self.events) if event.node == name]
        assert places, f"{name} never ran"
        return places[-1] if last else places[0]

    def _told(self) -> str:
        error = self.result.error
        if error is None:
            asking = [f"{name} asks {node.asks!r}" for name, node in self.result.nodes.items() if node.asks]
            return f"{self.status}: {', '.join(asking)}" if asking else str(self.status)
        return f"{self.status}: [{error.code}] {error.message}" + (f" at {error.node}" if error.node else "")
