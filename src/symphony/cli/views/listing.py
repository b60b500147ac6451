"""Tables and lines about what is stored: runs, nodes, events, logs, artifacts, operators."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from symphony.app import spelling
from symphony.cli.console import output, signs
from symphony.cli.console.tables import Heading, room, table
from symphony.cli.views.ending import names, node_word
from symphony.cli.views.watching import line_of
from symphony.commons.moments import local
from symphony.ports.runs import NodeStatus, RunStatus, short_id, titled

if TYPE_CHECKING:
    from symphony.app.run_for import RunFor
    from symphony.commons.errors import SymphonyError
    from symphony.ports.artifacts import ArtifactRecord
    from symphony.ports.insight import NodeLine, Overview
    from symphony.ports.runs import RunEvent, RunResult, RunSummary
    from symphony.ports.values import StoredValue
    from symphony.workflow.catalog import ModelInfo, OperatorInfo, Port

_NODES_MAX: Final = 500
_DIGEST_SHOWN: Final = 16
_LINE_MAX: Final = 400
_NAMES_MAX: Final = 50
_ORIGINS_MAX: Final = 20
"""The characters of a text in a table that a pipe gets."""
QUEUED: Final = "queued"
"""What people are told of a pending node that waits until it may use something."""
_WHY_MAX: Final = 120
"""The characters of an error in a list of runs, also in a pipe: `runs show` and `--json` have all of it."""
_RUNS: Final = (
    Heading("RUN", least=20), "ID", "STATUS", Heading("STARTED", rank=4), Heading("TOOK", rank=2),
    Heading("NODES", rank=3), Heading("WORKFLOW", rank=5, least=16), Heading("", rank=1, least=16),
)  # fmt: skip
_NODES: Final = (
    Heading("NODE", least=14), "STATUS", Heading("TRIES", rank=3), Heading("TOOK", rank=1),
    Heading("", rank=2, least=16),
)  # fmt: skip
_ARTIFACTS: Final = (
    "DIGEST", Heading("SIZE", rank=2), Heading("STORED", rank=4), Heading("TYPE", rank=3, least=10),
    Heading("NAMES", rank=1, least=16),
)  # fmt: skip


def for_whom_text(run_for: "RunFor") -> str:
    """Return for whom a run is and how urgent it is, as far as that is unusual: `for ada, priority 5`."""
    parts = [f"for {output.shown(run_for.user)}"] if run_for.user is not None else []
    parts += [f"project {output.shown(run_for.project)}"] if run_for.project is not None else []
    parts += [f"priority {run_for.priority}"] if run_for.priority is not None else []
    return ", ".join(parts) + "\n" if parts else ""


def runs_text(runs: "Iterable[RunSummary]", shorts: "Mapping[str, str]") -> str:
    """One line for each run; `shorts` tells what is shown of their ids."""
    rows = []
    for run in runs:
        took = "" if run.took_s is None else output.duration(run.took_s)
        done = f"{run.nodes_done:,}/{run.nodes_total:,}"
        handled = f"{output.count(run.handled_failures, 'failure')} handled" if run.handled_failures else ""
        why = handled
        if run.error is not None:
            why = output.brief(f"[{run.error.code}] {run.error.message}", _WHY_MAX)
        if run.only:
            why = "; ".join(filter(None, (f"only for {names(run.only)}", why)))
        called = run.name or "", shorts[run.run_id]
        rows.append((*called, str(run.status), output.moment(run.started_at), took, done,
                     output.brief(run.workflow, 40), why))  # fmt: skip
    return table(rows, _RUNS, width=room())


def _line(text: str) -> str:
    return output.brief(text, _LINE_MAX)


def tell_unread(unread: "Sequence[SymphonyError]", what: str = "passed over") -> None:
    """Say on stderr that runs could not be read, and what became of them."""
    if unread:
        hint = f" ({output.shown(unread[0].hint)})" if unread[0].hint else ""
        told = output.shown(unread[0].message)
        output.note(f"{output.count(len(unread), 'run')} {what}: {told}{hint}")


def nodes_text(run: "RunResult", run_of: "Callable[[str], str]" = short_id) -> str:
    """One line for each node; of very many the first ones, failures first of all.

    `run_of` gives what a run is called, of its id.
    """
    nodes = (
        sorted(run.nodes.items(), key=lambda item: item[1].error is None)
        if len(run.nodes) > _NODES_MAX
        else [*run.nodes.items()]
    )
    rows = []
    origins = _origins(node.cached_from for _, node in nodes[:_NODES_MAX])
    for name, node in nodes[:_NODES_MAX]:
        took = "" if node.took_s is None else output.duration(node.took_s)
        about = "" if node.error is None else _line(f"[{node.error.code}] {node.error.message}")
        if node.cached_from is not None and len(origins) > 1:
            about = f"from run {output.shown(run_of(node.cached_from))}"
        elif node.not_cached is not None:
            about = f"not cached: {node.not_cached}"
        if node.asks is not None:
            about = _line(f"asks: {node.asks}")
        word = node_word(node.status, run.status)
        if node.queued is not None and run.status is RunStatus.RUNNING:
            word, about = QUEUED, _line(node.queued)
        title = output.shown(titled(name, node.label))
        rows.append((title, word, str(node.attempts), took, about))
    return _nodes_table(rows, len(run.nodes) - _NODES_MAX, [run_of(one) for one in origins])


def lines_text(overview: "Overview", run: "RunStatus", run_of: "Callable[[str], str]" = short_id) -> str:
    """One line for each node, its elements and rounds counted; of very many the first ones.

    `run_of` gives what a run is called, of its id.
    """
    rows = []
    origins = _origins(line.cached_from for line in overview.lines)
    for line in overview.lines:
        took = "" if line.took_s is None else output.duration(line.took_s)
        about = _about(line, None if len(origins) == 1 else run_of)
        word = node_word(line.status, run)
        if line.queued_for is not None and run is RunStatus.RUNNING:
            several = f"{line.queued:,} " if line.queued > 1 else ""
            about = "; ".join(filter(None, (about, _line(several + line.queued_for))))
            word = QUEUED if line.status is NodeStatus.PENDING else word
        rows.append((_counted(line), word, str(line.attempts or ""), took, about))
    return _nodes_table(rows, overview.lines_more, [run_of(one) for one in origins])


def _nodes_table(rows: "Sequence[Sequence[str]]", more: int, origins: "Sequence[str]") -> str:
    """Return the table, with what it leaves out; the run that all cached results came from is named once."""
    if not rows:
        return ""
    text = table(rows, _NODES, width=room())
    text += f"… and {more:,} more: --json shows them all\n" if more > 0 else ""
    return text + (f"cached results are from run {output.shown(origins[0])}\n" if len(origins) == 1 else "")


def _counted(line: "NodeLine") -> str:
    """`embed ×554: 553 ✓ 1 ✗`: its elements or rounds, and how they stand where they differ."""
    number, unicode = sum(line.statuses.values()), output.unicode_capable(sys.stdout)
    if number <= 1:
        return line.name
    name = f"{line.name} {'×' if unicode else 'x'}{number:,}"
    return f"{name}: {signs.counted(line.statuses, unicode=unicode)}" if len(line.statuses) > 1 else name


def _origins(runs: "Iterable[str | None]") -> list[str]:
    """Return the runs that cached results came from, each once."""
    return list(dict.fromkeys(run for run in runs if run is not None))


def _about(line: "NodeLine", run_of: "Callable[[str], str] | None") -> str:
    """`run_of` is None where the one run that results came from is named below the table."""
    parts = []
    if line.handled and line.statuses:
        parts.append(_of_elements(line))
    if line.error is not None:
        parts.append(_line(f"[{line.error.code}] {line.error.message}"))
    if line.cached_from is not None and run_of is not None:
        parts.append(f"from run {output.shown(run_of(line.cached_from))}")
    if line.not_cached is not None:
        parts.append(f"not cached: {line.not_cached}")
    if line.asks is not None:
        parts.append(_line(f"asks: {line.asks}"))
    return "; ".join(parts)


_INSTEAD: Final = {"skip": "skipped", "value": "replaced by a value", "fallback": "replaced by the fallback"}


def _of_elements(line: "NodeLine") -> str:
    """`17 of 20 elements, 3 failed (skipped)`: of a node whose failures were handled; else it has rounds."""
    number = sum(line.statuses.values())
    good = line.statuses.get(NodeStatus.SUCCEEDED, 0) + line.statuses.get(NodeStatus.CACHED, 0)
    good -= line.handled if line.on_error == "value" else 0
    instead = _INSTEAD.get(line.on_error, "handled")
    noun = "element" if line.fans_out else "round"
    failed = max(line.handled, line.statuses.get(NodeStatus.FAILED, 0))  # a fallback is for all elements
    return f"{max(0, good):,} of {output.count(number, noun)}, {failed:,} failed ({instead})"


def event_text(event: "RunEvent") -> str:
    """One event on one line: number, time, type, what it says."""
    at = local(event.at).isoformat(timespec="milliseconds")
    said = line_of(event)
    if said is None:
        said = " ".join(part for part in (output.shown(event.node or ""), _data(event.data)) if part)
    return f"{event.seq:>6}  {at}  {output.shown(event.type):<16}  {said}".rstrip() + "\n"


def _data(data: "Mapping[str, StoredValue]") -> str:
    import json

    return output.brief(json.dumps(spelling.values(data), ensure_ascii=False), 200) if data else ""


def artifacts_text(records: "Iterable[ArtifactRecord]") -> str:
    """One line for each artifact."""
    rows = [
        (
            r.digest[:_DIGEST_SHOWN],
            output.size(r.size),
            output.moment(r.created_at),
            r.content_type,
            output.several(r.labels),
        )
        for r in records
    ]
    return table(rows, _ARTIFACTS, width=room())


def artifact_text(
    record: "ArtifactRecord",
    run_of: "Callable[[str], str]",
    label_of: "Callable[[str, str], str | None]",
) -> str:
    """One artifact and where it came from.

    `run_of` gives what a run is called, `label_of` the label of one of its steps.
    """
    if record.version is None:
        lines = []
    else:
        from symphony.cli.views.versions import version_lines

        lines = version_lines(record.version, run_of)
    lines += [
        f"digest   {record.digest}",
        f"size     {output.size(record.size)} ({record.size:,} bytes)",
        f"type     {output.shown(record.content_type)}",
        f"names    {output.shown(output.several(record.labels, _NAMES_MAX)) or '(none)'}",
        f"stored   {output.moment(record.created_at)}",
    ]
    for origin in record.provenance[:_ORIGINS_MAX]:
        node = titled(origin.node, label_of(origin.run_id, origin.node)) if origin.node else ""
        told = (
            ("run", run_of(origin.run_id)),
            ("node", node),
            ("port", origin.port),
            ("", f"{origin.operator} {origin.version}".strip()),
            ("model", origin.model or ""),
        )
        known = ", ".join(f"{what} {output.shown(name)}".lstrip() for what, name in told if name)
        lines.append(f"from     {known}")
        lines += [f"           input {output.shown(n)}: {digest}" for n, digest in origin.inputs.items()]
        lines += [
            f"           {output.shown(n)} = {output.shown(told)}" for n, told in origin.parameters.items()
        ]
    if (more := len(record.provenance) - _ORIGINS_MAX) > 0:
        lines.append(f"         and {more:,} more: --json has them")
    return "\n".join(lines) + "\n"


def operators_text(operators: "Iterable[OperatorInfo]") -> str:
    """One line for each operator."""
    return table(
        [(o.name, o.version, o.effect, _line(o.summary)) for o in operators],
        (
            "OPERATOR",
            Heading("VERSION", rank=3),
            Heading("EFFECT", rank=2),
            Heading("", rank=1, least=16),
        ),
        width=room(),
    )


def models_text(models: "Iterable[ModelInfo]") -> str:
    """One line for each model."""
    return table(
        [(m.id, m.version, m.provider, _line(m.summary)) for m in models],
        (
            "MODEL",
            Heading("VERSION", rank=3),
            Heading("PROVIDER", rank=2),
            Heading("", rank=1, least=16),
        ),
        width=room(),
    )


def operator_text(operator: "OperatorInfo") -> str:
    """Return all about one operator."""
    repeat = ", may be repeated" if operator.idempotent or operator.effect != "write" else ""
    lines = [f"{operator.name} {operator.version} ({operator.effect}{repeat})"]
    lines += [output.shown(t, lines=True).strip() for t in (operator.summary, operator.help) if t.strip()]
    return "\n".join(lines + ports_lines(operator.inputs, operator.outputs)) + "\n"


def ports_lines(inputs: "Mapping[str, Port]", outputs: "Mapping[str, Port]") -> list[str]:
    """Inputs and outputs, a line each."""
    lines: list[str] = []
    for title, ports in (("inputs", inputs), ("outputs", outputs)):
        lines.append(f"\n{title}:" if ports else f"\n{title}: none")
        lines += [_port_text(name, port, inputs=title == "inputs") for name, port in ports.items()]
    return lines


def _port_text(name: str, port: "Port", *, inputs: bool) -> str:
    import json

    import msgspec

    default = ""
    if inputs and port.default is not msgspec.UNSET:
        default = " = " + output.brief(json.dumps(spelling.spelled(port.default), ensure_ascii=False), 60)
    about = f"  {output.shown(port.description)}" if port.description else ""
    return f"  {output.shown(name)}: {port.type}{default}{about}"


def ports_document(ports: "Mapping[str, Port]") -> spelling.JSON:
    """Ports as JSON; an input without a default has no `default`."""
    import msgspec

    found: dict[str, spelling.JSON] = {}
    for name, port in ports.items():
        about: dict[str, spelling.JSON] = {"type": str(port.type), "description": port.description}
        if port.default is not msgspec.UNSET:
            about["default"] = spelling.spelled(port.default)
        found[name] = about
    return found


def operator_document(operator: "OperatorInfo") -> dict[str, spelling.JSON]:
    """One operator as JSON."""
    return {
        "name": operator.name,
        "version": operator.version,
        "effect": operator.effect,
        "idempotent": operator.idempotent,
        "summary": operator.summary,
        "help": operator.help,
        "inputs": ports_document(operator.inputs),
        "outputs": ports_document(operator.outputs),
    }


def model_document(model: "ModelInfo") -> dict[str, spelling.JSON]:
    """One model as JSON."""
    return {
        "id": model.id,
        "version": model.version,
        "provider": model.provider,
        "summary": model.summary,
        "inputs": ports_document(model.inputs),
        "outputs": ports_document(model.outputs),
    }
