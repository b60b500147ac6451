"""Runs and nodes as they are typed, or left out: `last`, `parse`, `parse[3]`, `rounds#2.step`."""

import re
from typing import TYPE_CHECKING, Final, Protocol

from symphony.commons.errors import SymphonyError
from symphony.ports.runs import ENDED, NodeStatus, RunResult, RunStatus

if TYPE_CHECKING:
    from symphony.app import Symphony

_NAMED_MAX: Final = 20
_UNENDED: Final = (NodeStatus.PENDING, NodeStatus.RUNNING, NodeStatus.WAITING)


def require_node(result: RunResult, name: str) -> None:
    """Raises SymphonyError `unknown-node` if the run has no node `name`.

    A node that has not ended may yet have elements and rounds that it does not have now.
    """
    known = result.nodes
    root = re.split(r"[\[#.]", name, maxsplit=1)[0]
    if name in known or (root in known and known[root].status in _UNENDED):
        return
    from symphony.workflow.problems import did_you_mean

    hint = did_you_mean(name, known, "symphony runs show lists them")
    raise SymphonyError(f"the run has no node {name[:200]!r}", code="unknown-node", hint=hint)


def only_asking(result: RunResult, *, approved: bool) -> str:
    """The node of the run that asks somebody, which is about to be `approved` or rejected.

    Raises SymphonyError `run-ended`, `not-waiting`, and BadUsage if several ask.
    """
    from symphony.cli.console.failures import BadUsage
    from symphony.cli.views.watching import answer_commands

    if result.status in ENDED:
        raise SymphonyError(
            f"the run has ended: {result.status}",
            code="run-ended",
            hint=f"to run it again: symphony runs rerun {result.label}",
        )
    asking = [
        name
        for name, node in result.nodes.items()
        if node.status is NodeStatus.WAITING and node.asks is not None
    ]
    if not asking:
        raise SymphonyError(
            f"no node of {result.label} asks anybody now",
            code="not-waiting",
            hint=f"see symphony runs show {result.label}",
        )
    if len(asking) > 1:
        more = f" and {len(asking) - _NAMED_MAX:,} more" if len(asking) > _NAMED_MAX else ""
        raise BadUsage(
            f"{len(asking):,} nodes of {result.label} ask: {', '.join(asking[:_NAMED_MAX])}{more}",
            hint=f"name one: {answer_commands(result.label, asking[0])[0 if approved else 1]}",
        )
    return asking[0]


class FoundRuns(Protocol):
    """The runs of a home, as far as they are looked for."""

    def find(self, run_id_or_prefix: str) -> str: ...
    def result(self, run_id: str) -> RunResult: ...


def run_and_node(runs: FoundRuns, first: str, second: str | None) -> tuple[str, str | None]:
    """The run's id and the node that `[RUN] [NODE]` mean: one word is a run, or else a node of the last run.

    Raises SymphonyError `run-not-found`.
    """
    if second is not None:
        return runs.find(first), second
    try:
        return runs.find(first), None
    except SymphonyError as unknown:
        last = runs.find("last")
        try:
            require_node(runs.result(last), first)
        except SymphonyError:
            raise unknown from None
        return last, first


def last_that_can_go_on(symphony: "Symphony") -> str:
    """The newest run that `resume` takes further; without one, the newest that waits for an answer.

    Says which. Raises SymphonyError `run-not-found`.
    """
    from symphony.cli.console import output

    runs, asking = symphony.runs, None
    for summary in runs.unended():
        if summary.status is RunStatus.WAITING and not _in_doubt(runs.result(summary.run_id)):
            asking = asking or summary
            continue
        break
    else:
        if asking is None:
            raise SymphonyError(
                "there is no run that can go on",
                code="run-not-found",
                hint="a run that has ended is run again by symphony runs rerun; see symphony runs list",
            )
        summary = asking
    output.note(f"run {output.shown(summary.label)} ({output.shown(summary.workflow)}), {summary.status}")
    return summary.run_id


def _in_doubt(result: RunResult) -> bool:
    return any(node.status is NodeStatus.WAITING and node.asks is None for node in result.nodes.values())
