"""The facts that an operator may know of its run, and the environment of the processes that it starts."""

from collections.abc import Mapping
from functools import partial
from types import TracebackType

from symphony.commons.contexts import Setting
from symphony.commons.environment import withholding
from symphony.commons.marks import NODE_VARIABLE, marking
from symphony.commons.plainness import copied
from symphony.pit.tracker.nodes.attempt import Cancelled, NodeAttempt
from symphony.pit.tracker.nodes.owning import own
from symphony.pit.tracker.nodes.resources import RunResources
from symphony.pit.tracker.nodes.work import COMMAND, CallWork, OperatorWork, settings, variables_read
from symphony.ports.values import StoredValue
from symphony.sdk import Context, LogSink
from symphony.workflow.model import CommandNode


class Contexts:
    """Makes the arguments and the surroundings of operators. Thread-safe."""

    def __init__(self, resources: RunResources) -> None:
        self._resources = resources
        self._secret = resources.keys.union(resources.environment)

    def arguments(
        self, attempt: NodeAttempt, plain: Mapping[str, StoredValue], cancelled: Cancelled
    ) -> dict[str, object]:
        """Return copies of the arguments for the attempt's operator. `plain` has its inputs, loaded."""
        work = attempt.work
        assert isinstance(work, OperatorWork)
        operator = work.operator
        arguments = own(work.copies, plain, attempt.inputs)
        if isinstance(work.node, CommandNode):
            arguments = {COMMAND: work.node.command, "environment": dict(plain)}
        if operator.context_name is not None:
            arguments[operator.context_name] = self.context(attempt, cancelled)
        return arguments

    def context(self, attempt: NodeAttempt, cancelled: Cancelled) -> Context:
        """Return what the attempt's operator may know of the run."""
        resources, work = self._resources, attempt.work
        return Context(
            run_id=resources.run_id,
            node=attempt.node,
            attempt=attempt.number,
            cwd=resources.cwd,
            base=work.base or resources.base,
            log=self.sink(attempt.node),
            cancelled=cancelled,
            environment=self._shown_variables(work),
            allowed_hosts=resources.allowed_hosts,
            config={name: copied(value) for name, value in settings(work).items()},  # type: ignore[misc]  # a value, as its copy is
        )

    def sink(self, node: str) -> LogSink:
        """Return a sink for what the node prints."""
        return partial(self._resources.log, node)

    def around(self, work: CallWork, node: str) -> "_Around":
        """Return a context manager that controls the environment of the node's child processes."""
        marks = {**self._resources.marks, NODE_VARIABLE: node}
        return _Around(withholding(self.withheld(work)), marking(marks))

    def enter(self, work: CallWork, node: str) -> None:
        """Set up the present context as `around` does, for as long as the context exists."""
        withholding(self.withheld(work)).__enter__()
        marking({**self._resources.marks, NODE_VARIABLE: node}).__enter__()

    def withheld(self, work: CallWork) -> frozenset[str]:
        """Return the variables that child processes of a node do not inherit."""
        secret = self._secret
        return secret - variables_read(work) if _is_command(work) else secret

    def _shown_variables(self, work: CallWork) -> Mapping[str, str]:
        """Return the listed variables that a node may see; for a command, those that its inputs read."""
        environment = self._resources.environment
        if not _is_command(work):
            return dict(environment)
        read = variables_read(work)
        return {name: value for name, value in environment.items() if name in read}


def _is_command(work: CallWork) -> bool:
    return isinstance(work, OperatorWork) and work.runs == COMMAND


class _Around:
    """Two context managers in one."""

    __slots__ = ("_marked", "_withheld")

    def __init__(self, withheld: Setting[frozenset[str]], marked: Setting[Mapping[str, str]]) -> None:
        self._withheld, self._marked = withheld, marked

    def __enter__(self) -> None:
        self._withheld.__enter__()
        self._marked.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._marked.__exit__(kind, error, traceback)
        self._withheld.__exit__(kind, error, traceback)
