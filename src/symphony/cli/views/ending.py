"""The words at the end of a run: outputs, counts, what went wrong, how to go on."""

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from symphony.app import spelling
from symphony.cli.console import blocks, output
from symphony.cli.views.usage import usage_text
from symphony.commons.widths import first_columns
from symphony.ports.runs import (
    FailureCause,
    NodePlace,
    NodeResult,
    NodeStatus,
    RunResult,
    RunStatus,
    RunWarning,
    short_id,
    titled,
)
from symphony.ports.values import ArtifactRef, StoredValue

VALUE_COLUMNS_MAX: Final = 500
GO_ON: Final = "go on with: symphony runs resume"
_NAMED_MAX: Final = 5
_NUMBERS: Final = re.compile(r"\[[0-9]+\]|#[0-9]+")  # of elements and rounds
_AT_REST: Final = (RunStatus.INTERRUPTED, RunStatus.WAITING, RunStatus.PAUSED)

BLOCK_LINES_MAX: Final = 200
BLOCK_CHARACTERS_MAX: Final = 20_000

PathOf = Callable[[ArtifactRef], Path | None]
"""A file with what is in an artifact, if there is one."""
OutputPathOf = Callable[[str, ArtifactRef], Path | None]
"""Like `PathOf`, for an output of that name."""


def outputs_text(run: RunResult, path_of: OutputPathOf, *, cut: bool = False, recorded: bool = True) -> str:
    """Return the outputs for people: texts with their lines, artifacts with the path of a copy.

    With `cut`, for a terminal, long ones are cut and say how to see the rest, which depends on whether
    the run is `recorded`.
    """
    return "".join(
        _output_text(
            output.shown(name),
            value,
            partial(path_of, name),
            _whole_of(run, name, recorded=recorded) if cut else "",
        )
        for name, value in run.outputs.items()
    )


def _whole_of(run: RunResult, name: str, *, recorded: bool) -> str:
    """Return what prints one output whole."""
    if not recorded:
        return f"the same command with --output {_quoted(name)}"
    return f"symphony runs show {run.label} --output {_quoted(name)}"


def _output_text(name: str, value: StoredValue, path_of: PathOf, whole: str) -> str:
    if isinstance(value, str) and "\n" in value.rstrip("\n"):
        return f"{name} =\n{_block(value.rstrip(chr(10)), whole)}\n"
    line = value_text(value, path_of, most=VALUE_COLUMNS_MAX if whole else None)
    cut = whole and isinstance(value, str) and line.endswith("…")
    return f"{name} = {line}\n" + (f"({whole} prints it whole)\n" if cut else "")


def _block(text: str, whole: str) -> str:
    """Return the lines of a text; of a long one the first, if `whole` says how to see the others."""
    if not whole:
        return output.shown(text, lines=True)
    kept = text[:BLOCK_CHARACTERS_MAX]
    rows = kept.split("\n")[:BLOCK_LINES_MAX]
    block = output.shown("\n".join(rows), lines=True)
    left = text.count("\n") + 1 - len(rows)
    if not left and len(kept) == len(text):
        return block
    return f"{block}\n… {output.count(left, 'more line')}: {whole}"


def value_text(value: StoredValue, path_of: PathOf, *, most: int | None = VALUE_COLUMNS_MAX) -> str:
    """One value on one line of at most `most` columns."""
    if isinstance(value, ArtifactRef):
        return _artifact_text(value, path_of(value))
    import json

    text = value if isinstance(value, str) else json.dumps(spelling.spelled(value), ensure_ascii=False)
    said = output.shown(text.rstrip("\n"))
    return said if most is None else first_columns(said, most)


def _artifact_text(ref: ArtifactRef, path: Path | None) -> str:
    from symphony.app.contents import shown_type

    place, kind, size = f"artifact {ref.digest}", ref.content_type, ref.size
    if path is not None:
        place, kind = output.shown(str(path)), shown_type(ref)
        with suppress(OSError):
            size = path.stat().st_size
    hidden = "secrets as ***" if ref.sealed is not None else ""
    parts = (output.shown(ref.name or ""), kind, output.size(size), hidden)
    return f"{place}  ({', '.join(part for part in parts if part)})"


def closing_text(
    run: RunResult, elapsed_s: float | None, page: blocks.BlockPage, short: str | None = None
) -> str:
    """Status, time and counts of a run, in one line; `short` tells it from all others."""
    colour = {RunStatus.SUCCEEDED: "green", RunStatus.FAILED: "red"}.get(run.status, "yellow")
    word = output.paint(str(run.status), "bold", colour, on=page.colours)
    took = "" if elapsed_s is None else f" in {output.duration(elapsed_s)}"
    used = "" if run.usage is None else f"; {usage_text(run.usage)}"
    handled = output.count(run.handled_failures, "failure")
    told = f", {handled} handled" if run.handled_failures else ""
    only = f", only for {names(run.only)}" if run.only else ""
    counts = f"{counts_text(run.counts, run.status)}{only}"
    return f"{word}{took}: {counts}{told}{used}; run {_called(run, short)}"


def _called(run: RunResult, short: str | None) -> str:
    short = short or short_id(run.run_id)
    return short if run.name is None else f"{run.name} ({short})"


def node_word(status: NodeStatus, run: RunStatus) -> str:
    """Return what people are told of a node: nothing runs in a run that has no process."""
    return str(run if status is NodeStatus.RUNNING and run in _AT_REST else status)


def counts_text(counts: Mapping[NodeStatus, int], run: RunStatus = RunStatus.RUNNING) -> str:
    """`12 nodes (4 cached, 1 skipped)`."""
    told: dict[str, int] = {}
    for status, number in sorted(counts.items()):
        if status is not NodeStatus.SUCCEEDED:
            word = node_word(status, run)
            told[word] = told.get(word, 0) + number
    parts = [f"{number:,} {word}" for word, number in told.items()]
    return output.count(sum(counts.values()), "node") + (f" ({', '.join(parts)})" if parts else "")


def error_text(run: RunResult, page: blocks.BlockPage) -> str:
    """Return the block that shows why the run failed; empty if it did not."""
    if run.error is None:
        return ""
    error = run.error
    where = None if error.node is None else f"node {error.node}"
    if error.file is not None and error.place is not None:
        where = _where(NodePlace(file=error.file, place=error.place, line=error.line, column=error.column))
    also = [
        (_cause_text(cause), None if cause.place is None else _where(cause.place))
        for cause in error.causes[1:]
    ]
    if error.causes_more:
        also.append((f"{error.causes_more:,} more: symphony runs show {run.label} --elements", None))
    return blocks.error_block(error.code, error.message, page, hint=error.hint, where=where, also=also)


def warning_text(warning: RunWarning, page: blocks.BlockPage) -> str:
    """Return the block that shows what went wrong beside a run."""
    message = "\n".join((warning.message, *warning.output))
    where = None if warning.place is None else _where(warning.place)
    return blocks.error_block(
        warning.code, message, page, hint=warning.hint, where=where, warning=True
    ).rstrip()


def _where(place: NodePlace) -> str:
    """Return how a place in a file is named: `words.yaml:12:3 (nodes.count)`."""
    return blocks.SourceText.named(Path(place.file)).at(place.place, place.line, place.column)


def _cause_text(cause: FailureCause) -> str:
    """`check[6] pkgs/p07/: no such file (and 2 more)`."""
    more = f" (and {cause.count - 1:,} more)" if cause.count > 1 else ""
    return f"{titled(cause.node, cause.label)}: {cause.message}{more}"


def advice(run: RunResult, printed: Callable[[], bool], answered: Sequence[str] = ()) -> str:
    """Return how to go on, where there is something to go on with; else empty.

    `printed` tells whether the nodes printed anything, `answered` are the approvals whose answers nobody
    has acted on yet. A person at a terminal is told where to see what a run without outputs printed.
    Every command names the run: when it is typed, another one may be the newest.
    """
    match run.status:
        case RunStatus.FAILED:
            again = f"{_again(run)} (if you have changed the workflow since: --file FILE)"
            return f"{_logs_of(run)}\n{again}" if printed() else again
        case RunStatus.CANCELLED:
            return _again(run)
        case RunStatus.SUCCEEDED if run.handled_failures:
            return f"to try the handled failures again: symphony runs rerun {run.label}"
        case RunStatus.SUCCEEDED if not run.outputs and output.is_terminal(sys.stderr) and printed():
            return _logs_of(run)
        case RunStatus.WAITING | RunStatus.PAUSED:
            return _waiting_advice(run, f"symphony runs resume {run.label}")
        case RunStatus.INTERRUPTED if answered:
            return (
                f"answered, and recorded: {names(answered)}\n"
                f"no process owns the run; to go on: symphony runs resume {run.label}"
            )
        case RunStatus.INTERRUPTED:
            return f"stopped; {GO_ON} {run.label}{_about_doubtful(run.doubtful)}"
    return ""


def _about_doubtful(nodes: Sequence[str]) -> str:
    """Return what to add to `symphony runs resume` for nodes that were in the middle of an effect."""
    if not nodes:
        return ""
    if len(nodes) > _NAMED_MAX:
        other = "--skip NODE, if what it did is done: its outputs are then null"
        return f" --retry NODE (or {other}) for each of {names(nodes)}"
    quoted = [_quoted(name) for name in nodes]
    retry = " ".join(f"--retry {name}" for name in quoted)
    other = (
        f"--skip {quoted[0]}, if what it did is done: its outputs are then null"
        if len(nodes) == 1
        else "--skip, for those that are done: their outputs are then null"
    )
    return f" {retry} (or {other})"


def _logs_of(run: RunResult) -> str:
    return f"what it printed: symphony runs logs {run.label}"


def _again(run: RunResult) -> str:
    return f"to run the rest and reuse what succeeded: symphony runs rerun {run.label}"


def _waiting_advice(run: RunResult, resume: str) -> str:
    waiting = {name: node for name, node in run.nodes.items() if node.status is NodeStatus.WAITING}
    asked = {name: node for name, node in waiting.items() if node.asks is not None}
    parts = [_asking(run.label, asked)] if asked else []
    doubtful = [name for name in waiting if name not in asked]
    if doubtful:
        told = names([titled(name, waiting[name].label) for name in doubtful])
        first, which, whose = doubtful[0], "", "its"
        together = _NUMBERS.sub("", first)
        if (count := sum(_NUMBERS.sub("", name) == together for name in doubtful)) > 1:
            which, whose = f"  (all {count:,} of them; or one, such as {_quoted(first)})", "their"
            first = together
        node = _quoted(first)
        parts.append(
            f"waiting for you to decide about {told}:"
            f"\n  {resume} --retry {node}{which}\n  {resume} --skip {node}  ({whose} outputs are then null)"
        )
    if not doubtful:
        parts.append(f"to go on{' after that' if asked else ''}: {resume}")
    return "\n".join(parts)


def _asking(run: str, asked: Mapping[str, NodeResult]) -> str:
    first = next(iter(asked))
    questions = "\n".join(
        f"{output.shown(titled(name, node.label))} asks: {output.brief(node.asks or '', 300)}"
        for name, node in list(asked.items())[:_NAMED_MAX]
    )
    more = len(asked) - _NAMED_MAX
    return (
        questions
        + (f"\nand {more:,} more ask" if more > 0 else "")
        + f"\n  symphony runs approve {run} {_quoted(first)}"
        + f"\n  symphony runs reject {run} {_quoted(first)}"
    )


def names(nodes: Sequence[str]) -> str:
    """Return the first of these nodes, and how many more there are."""
    more = f" and {len(nodes) - _NAMED_MAX:,} more" if len(nodes) > _NAMED_MAX else ""
    return ", ".join(output.shown(name) for name in nodes[:_NAMED_MAX]) + more


def _quoted(name: str) -> str:
    """Return a node's name as a shell takes it: brackets are patterns there."""
    from shlex import quote

    return quote(output.shown(name))
