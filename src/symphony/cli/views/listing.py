"""Tables and lines about what is stored: runs, nodes, events, logs, artifacts, operators."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from symphony.app import spelling
from symphony.cli.console import output
from symphony.cli.views.watching import line_of
from symphony.commons.moments import local

if TYPE_CHECKING:
    from symphony.commons.errors import SymphonyError
    from symphony.ports.artifacts import ArtifactRecord
    from symphony.ports.insight import NodeLine, Overview
    from symphony.ports.runs import RunEvent, RunResult, RunSummary
    from symphony.ports.values import StoredValue
    from symphony.workflow.catalog import ModelInfo, OperatorInfo, Port

_NODES_MAX: Final = 500
_DIGEST_SHOWN: Final = 16


def runs_text(runs: "Iterable[RunSummary]") -> str:
    """One line for each run."""
    rows = []
    for run in runs:
        took = "" if run.finished_at is None else output.duration(max(0.0, run.finished_at - run.started_at))
        done = f"{run.nodes_done:,}/{run.nodes_total:,}"
        why = "" if run.error is None else output.brief(f"[{run.error.code}] {run.error.message}", 60)
        rows.append((run.run_id, str(run.status), output.moment(run.started_at), took, done,
                     output.brief(run.workflow, 40), why))  # fmt: skip
    return output.table(rows, ("RUN", "STATUS", "STARTED", "TOOK", "NODES", "WORKFLOW", ""))


def tell_unread(unread: "Sequence[SymphonyError]", what: str = "passed over") -> None:
    """Say on stderr that runs could not be read, and what became of them."""
    if unread:
        hint = f" ({output.shown(unread[0].hint)})" if unread[0].hint else ""
        told = output.shown(unread[0].message)
        output.note(f"{output.count(len(unread), 'run')} {what}: {told}{hint}")


def nodes_text(run: "RunResult") -> str:
    """One line for each node; of very many the first ones, failures first of all."""
    nodes = (
        sorted(run.nodes.items(), key=lambda item: item[1].error is None)
        if len(run.nodes) > _NODES_MAX
        else [*run.nodes.items()]
    )
    rows = []
    for name, node in nodes[:_NODES_MAX]:
        took = "" if node.duration_ms is None else output.duration(node.duration_ms / 1000)
        about = "" if node.error is None else output.brief(f"[{node.error.code}] {node.error.message}", 80)
        if node.cached_from is not None:
            about = f"from run {node.cached_from}"
        elif node.not_cached is not None:
            about = f"not cached: {node.not_cached}"
        if node.asks is not None:
            about = output.brief(f"asks: {node.asks}", 80)
        rows.append((name, str(node.status), str(node.attempts), took, about))
    if not rows:
        return ""
    text = output.table(rows, ("NODE", "STATUS", "TRIES", "TOOK", ""))
    more = len(run.nodes) - _NODES_MAX
    return text + (f"… and {more:,} more: --json shows them all\n" if more > 0 else "")


def lines_text(overview: "Overview") -> str:
    """One line for each node, its elements and rounds counted; of very many the first ones."""
    rows = []
    for line in overview.lines:
        took = "" if line.took_s is None else output.duration(line.took_s)
        rows.append((_counted(line), str(line.status), str(line.attempts or ""), took, _about(line)))
    if not rows:
        return ""
    text = output.table(rows, ("NODE", "STATUS", "TRIES", "TOOK", ""))
    more = overview.lines_more
    return text + (f"… and {more:,} more: --json shows them all\n" if more > 0 else "")


def _counted(line: "NodeLine") -> str:
    number = sum(line.statuses.values())
    return f"{line.name} x{number:,}" if number > 1 else line.name


def _about(line: "NodeLine") -> str:
    parts = []
    if len(line.statuses) > 1:
        parts.append(", ".join(f"{number:,} {status}" for status, number in sorted(line.statuses.items())))
    if line.error is not None:
        parts.append(output.brief(f"[{line.error.code}] {line.error.message}", 80))
    if line.cached_from is not None:
        parts.append(f"from run {line.cached_from}")
    if line.not_cached is not None:
        parts.append(f"not cached: {line.not_cached}")
    if line.asks is not None:
        parts.append(output.brief(f"asks: {line.asks}", 80))
    return "; ".join(parts)


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
            ", ".join(r.names),
        )
        for r in records
    ]
    return output.table(rows, ("DIGEST", "SIZE", "STORED", "TYPE", "NAMES"))


def artifact_text(record: "ArtifactRecord", path: str | None) -> str:
    """One artifact and where it came from."""
    lines = [
        f"digest   {record.digest}",
        f"size     {output.size(record.size)} ({record.size:,} bytes)",
        f"type     {output.shown(record.content_type)}",
        f"names    {output.shown(', '.join(record.names)) or '(none)'}",
        f"stored   {output.moment(record.created_at)}",
        f"path     {output.shown(path) if path is not None else '(not a plain file)'}",
    ]
    for origin in record.provenance:
        model = f", model {output.shown(origin.model)}" if origin.model else ""
        lines.append(
            f"from     run {origin.run_id}, node {output.shown(origin.node)}, "
            f"port {output.shown(origin.port)}, "
            f"{output.shown(origin.operator)} {output.shown(origin.version)}{model}"
        )
        lines += [f"           input {output.shown(n)}: {digest}" for n, digest in origin.inputs.items()]
    return "\n".join(lines) + "\n"


def operators_text(operators: "Iterable[OperatorInfo]") -> str:
    """One line for each operator."""
    return output.table(
        [(o.name, o.version, o.effect, output.brief(o.summary, 80)) for o in operators],
        ("OPERATOR", "VERSION", "EFFECT", ""),
    )


def models_text(models: "Iterable[ModelInfo]") -> str:
    """One line for each model."""
    return output.table(
        [(m.id, m.version, m.provider, output.brief(m.summary, 80)) for m in models],
        ("MODEL", "VERSION", "PROVIDER", ""),
    )


def operator_text(operator: "OperatorInfo") -> str:
    """All about one operator."""
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
