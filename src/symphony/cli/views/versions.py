"""What is shown of the versions of artifacts, and of what differs between two."""

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

from symphony.app import spelling
from symphony.cli.console import output
from symphony.cli.console.tables import Heading, room, table

if TYPE_CHECKING:
    from symphony.app.artifact_diffs import ArtifactDiff
    from symphony.ports.artifacts import ArtifactRecord, ArtifactVersion

_DIGEST_SHOWN: Final = 16
_NOTE_MAX: Final = 200
_VALUE_MAX: Final = 60
_MARKS: Final = {"added": "+", "removed": "-", "changed": "~"}
_LOG: Final = (
    "VERSION", Heading("STORED", rank=5), Heading("SIZE", rank=4), Heading("TYPE", rank=2, least=10),
    Heading("DIGEST", rank=3), Heading("FROM", rank=6, least=10), Heading("TAGS", rank=7, least=6),
    Heading("NOTE", rank=1, least=12),
)  # fmt: skip


def log_text(versions: "Iterable[ArtifactVersion]", run_of: Callable[[str], str]) -> str:
    """One line for each version; `run_of` gives what a run is called."""
    rows = [
        (
            f"{one.name}@{one.number}",
            output.moment(one.created_at),
            output.size(one.size),
            one.content_type,
            "deleted" if one.deleted else one.digest[:_DIGEST_SHOWN],
            "by hand" if one.run_id is None else f"run {run_of(one.run_id)}",
            ", ".join(one.tags),
            output.brief(one.note, _NOTE_MAX),
        )
        for one in versions
    ]
    return table(rows, _LOG, width=room())


def version_lines(version: "ArtifactVersion", run_of: Callable[[str], str]) -> list[str]:
    """Return the lines about one version, for `artifacts show`."""
    made = "by hand" if version.run_id is None else f"run {run_of(version.run_id)}"
    lines = [
        f"version  {output.shown(version.label)}, {output.moment(version.created_at)}, {output.shown(made)}"
    ]
    if version.tags:
        lines.append(f"tags     {output.shown(', '.join(version.tags))}")
    if version.note:
        told = output.shown(version.note, lines=True).rstrip().split("\n")
        lines += [f"{'note' if at == 0 else '':<9}{line}" for at, line in enumerate(told)]
    lines += [f"parent   {parent}" for parent in version.parents]
    return lines


def called(record: "ArtifactRecord") -> str:
    """Return what an artifact is called: its version, else its newest name's, else its digest."""
    return record.version.label if record.version is not None else record.digest[:_DIGEST_SHOWN]


def diff_text(found: "ArtifactDiff", a: "ArtifactRecord", b: "ArtifactRecord", *, colour: bool) -> str:
    """Return the difference of two artifacts; nothing if there is none."""
    if found.same:
        return ""
    head = [f"--- {_side(a)}", f"+++ {_side(b)}"]
    if found.kind == "text":
        lines = [*head, *(output.shown(line) for line in found.lines or [found.why])]
        return "".join(f"{_painted(line, on=colour)}\n" for line in lines)
    lines = [_painted(line, on=colour) for line in head]
    if found.kind == "json":
        lines += [_change(one.kind, one.place, one.a, one.b, colour=colour) for one in found.changes]
        if found.more:
            lines.append(f"… and more than {len(found.changes):,} others")
        lines += [found.why] if found.why else []
    else:
        at = "" if found.first is None else f" from byte {found.first:,} on"
        lines.append(f"the contents differ{at}" + (f": {found.why}" if found.why else ""))
    return "".join(f"{line}\n" for line in lines)


def diff_document(
    found: "ArtifactDiff", a: "ArtifactRecord", b: "ArtifactRecord"
) -> dict[str, spelling.JSON]:
    """For programs. `same` is what the exit status tells."""
    changes: list[spelling.JSON] = [
        {"place": one.place, "kind": one.kind, "a": _finite(one.a), "b": _finite(one.b)}
        for one in found.changes
    ]
    return {
        "same": found.same,
        "kind": found.kind,
        "a": _document(a),
        "b": _document(b),
        "diff": list(found.lines) if found.kind == "text" else None,
        "changes": changes if found.kind == "json" else None,
        "more": found.more,
        "first_byte": found.first,
        "why": found.why or None,
    }


def _finite(value: spelling.JSON) -> spelling.JSON:
    """Return a value with the names of numbers that JSON does not have, such as NaN, in place of them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value


def _document(record: "ArtifactRecord") -> dict[str, spelling.JSON]:
    version = record.version
    return {
        "artifact": called(record),
        "digest": record.digest,
        "size": record.size,
        "content_type": record.content_type,
        "name": None if version is None else version.name,
        "version": None if version is None else version.number,
    }


def _side(record: "ArtifactRecord") -> str:
    told = (called(record), record.content_type, output.size(record.size), record.digest[:_DIGEST_SHOWN])
    return output.shown("  ".join(dict.fromkeys(told)))


def _change(kind: str, place: str, a: spelling.JSON, b: spelling.JSON, *, colour: bool) -> str:
    import json

    from symphony.cli.views.comparing import briefly

    head = f"{_MARKS[kind]} {output.shown(place)}: "
    one, other = (json.dumps(value, ensure_ascii=False) for value in (a, b))
    if kind != "changed":
        return _painted(head + output.brief(other if kind == "added" else one, _VALUE_MAX), on=colour)
    return head + " -> ".join(briefly(one, other))


def _painted(line: str, *, on: bool) -> str:
    style = {"-": "red", "+": "green", "@": "cyan"}.get(line[:1])
    return line if style is None else output.paint(line, style, on=on)
