"""Runs and nodes as they are typed, or left out: `last`, `parse`, `parse[3] its label`, `rounds#2.step`."""

import re
from typing import TYPE_CHECKING, Final, Protocol

from symphony.commons.errors import SymphonyError
from symphony.ports.runs import ENDED, NodeStatus, RunResult, RunStatus, titled

if TYPE_CHECKING:
    from symphony.app import Symphony

_NAMED_MAX: Final = 20
_ONLY_NODE: Final = re.compile(r"[\[#]")
_NUMBERS: Final = re.compile(r"\[[0-9]+\]|#[0-9]+")
_ROUNDS: Final = re.compile(r"#[0-9]+")
_INNER: Final = re.compile(r"[\[#.]")
_UNENDED: Final = (NodeStatus.PENDING, NodeStatus.RUNNING, NodeStatus.WAITING)


def node_named(result: RunResult, typed: str) -> str:
    """Return the full name of the node that was typed: `parse[3]`, or as it is printed with its label.

    A node that has not ended may yet have elements and rounds that it does not have now. Raises
    SymphonyError `unknown-node` if the run has no such node, or its element has another label.
    """
    name, _, label = typed.strip().partition(" ")
    known = result.nodes
    root = re.split(r"[\[#.]", name, maxsplit=1)[0]
    if name in known:
        _require_label(name, label.strip(), known[name].label)
        return name
    if root in known and known[root].status in _UNENDED:
        return name
    from symphony.workflow.problems import did_you_mean

    hint = did_you_mean(name, known, f"symphony runs show {result.label} lists them")
    raise SymphonyError(f"run {result.label} has no node {name[:200]!r}", code="unknown-node", hint=hint)


def step_named(result: RunResult, typed: str) -> str:
    """Return the full name of a step, or one without numbers, which means all elements and rounds.

    Steps inside of what was reused as a whole are not checked. Raises SymphonyError `unknown-node`.
    """
    name = typed.strip().partition(" ")[0]
    if name not in result.nodes:
        plain = {numbers.sub("", one) for one in result.nodes for numbers in (_NUMBERS, _ROUNDS)}
        if name in plain or reused_step(result, name) is not None:
            return name
    return node_named(result, typed)


def reused_step(result: RunResult, name: str) -> tuple[str, str] | None:
    """Return the run that a step was reused from, alone or with what is around it, and its name there."""
    above = name
    while above:
        node = result.nodes.get(above)
        if node is not None and node.status is NodeStatus.CACHED and node.cached_from is not None:
            return node.cached_from, (node.cached_as or above) + name[len(above) :]
        above = above[: max(above.rfind(mark) for mark in "[#.") if _INNER.search(above) else 0]
    return None


def without_label(result: RunResult, typed: str) -> str:
    """Return the name in `NAME LABEL`, as it is printed, whether the run has such a node or not.

    Raises SymphonyError `unknown-node` if the run's element has another label.
    """
    name, _, label = typed.strip().partition(" ")
    if label and name in result.nodes:
        _require_label(name, label.strip(), result.nodes[name].label)
    return name


def _require_label(name: str, typed: str, label: str | None) -> None:
    """Raises SymphonyError `unknown-node` if something else than the label was typed behind a name.

    Printed labels may be cut, which a mark shows.
    """
    from symphony.cli.console import output

    begun, cut, _ = typed.partition("…")
    shown = output.shown(label or "")
    if not typed or typed in (label, shown) or (cut and shown.startswith(begun)):
        return
    told = f"{name} is {titled(name, shown)!r}" if label else f"{name} has no label"
    raise SymphonyError(
        f"{told}, not {titled(name, typed[:100])!r}", code="unknown-node", hint=f"type its name alone: {name}"
    )


def only_asking(result: RunResult, *, approved: bool) -> str:
    """Return the node of the run that asks somebody, which is about to be `approved` or rejected.

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
    """Return the run's id and the node that `[RUN] [NODE]` mean: one word is a run, or else a node of
    the last run.

    Raises SymphonyError `run-not-found`, and `unknown-node` for what can only be a node.
    """
    if second is not None:
        try:
            run_id = runs.find(first)
        except SymphonyError:
            if not _ONLY_NODE.search(first):
                raise
            last = runs.find("last")
            return last, node_named(runs.result(last), f"{first} {second}")  # a label, without quotes
        return run_id, without_label(runs.result(run_id), second) if " " in second else second
    try:
        return runs.find(first), None
    except SymphonyError as unknown:
        last = runs.find("last")
        try:
            return last, step_named(runs.result(last), first)
        except SymphonyError:
            if _ONLY_NODE.search(first):
                raise
            raise unknown from None


def last_that_can_go_on(symphony: "Symphony") -> str:
    """Return the newest run that `resume` takes further; without one, the newest that waits for an answer.

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
