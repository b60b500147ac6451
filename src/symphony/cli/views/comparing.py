"""The output of `runs diff` for two runs."""

import difflib
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from symphony.app import spelling
from symphony.cli.console import output
from symphony.cli.console.tables import Heading, room, table
from symphony.cli.views.usage import usage_text
from symphony.commons.lines import lines_of
from symphony.ports.comparison import NodeComparison, NodeSide, RunComparison, ValueChange
from symphony.ports.models import Usage
from symphony.ports.runs import RunError, RunResult, titled
from symphony.ports.values import ArtifactRef, StoredValue

LINES_MAX: Final = 100
"""The most lines shown of the difference of two texts."""
CHANGES_MAX, NODES_MAX = 50, 50
_VALUE_MAX: Final = 60
_TEXT_CHARS_MAX: Final = 1_000_000
_MARKS: Final = {"added": "+", "removed": "-", "changed": "~"}

_UNKNOWN_MAX: Final = 5

TextOf = Callable[[StoredValue], str | None]
"""The text that an output is; None of what is none, or too large to be compared."""


def text(found: RunComparison, shorts: Mapping[str, str], text_of: TextOf) -> str:
    """Return all that differs, for people; `shorts` tells what is shown of the runs' ids."""
    parts = [f"--- {_called(found.a, shorts)}\n+++ {_called(found.b, shorts)}\n"]
    changes = [
        f"  {_MARKS[one.kind]} {output.shown(one.place)}"
        f"{_sides(one.kind, *briefly(_spelled(one.a), _spelled(one.b)))}\n"
        for one in found.workflow
    ]
    parts += _section("workflow", changes, CHANGES_MAX)
    parts += _section("inputs", ["".join(_value(one, text_of)) for one in found.inputs], CHANGES_MAX)
    parts += _error(found)
    nodes = [_node(one) for one in found.nodes.values() if one.differs]
    if nodes:
        heads = ("NODE", "STATUS", "RESULT", Heading("TOOK", rank=1), Heading("", rank=2, least=16))
        rows = table(nodes[:NODES_MAX], heads, width=room()).removesuffix("\n").split("\n")
        more = len(nodes) - NODES_MAX
        rows += [f"… and {more:,} more: --json has them all"] if more > 0 else []
        parts.append("nodes\n" + "".join(f"  {row}\n" for row in rows))
    parts += _section("outputs", ["".join(_value(one, text_of)) for one in found.outputs], CHANGES_MAX)
    parts.append(_used(found))
    unknown = [_title(one) for one in found.nodes.values() if one.unknown and not one.differs]
    if unknown:
        few = ", ".join(unknown[:_UNKNOWN_MAX])
        others = f" and {len(unknown) - _UNKNOWN_MAX:,} more" if len(unknown) > _UNKNOWN_MAX else ""
        parts.append(f"not known whether the results are the same: {few}{others}\n")
    if found.same:
        parts.append("no differences\n")
    return "".join(parts)


def document(found: RunComparison, shorts: Mapping[str, str]) -> dict[str, spelling.JSON]:
    """For programs. `same` is what the exit status tells."""
    workflow: list[spelling.JSON] = [
        {"place": one.place, "kind": one.kind, "a": one.a, "b": one.b} for one in found.workflow
    ]
    nodes: dict[str, spelling.JSON] = {
        name: {
            "a": _side(one.a), "b": _side(one.b), "same_result": one.same_result, "differs": one.differs,
        }
        for name, one in found.nodes.items()
    }  # fmt: skip
    return {
        "same": found.same,
        "a": _run(found.a, shorts),
        "b": _run(found.b, shorts),
        "workflow": workflow,
        "inputs": [_change(one) for one in found.inputs],
        "outputs": [_change(one) for one in found.outputs],
        "nodes": nodes,
    }


def _called(run: RunResult, shorts: Mapping[str, str]) -> str:
    short = shorts[run.run_id]
    name = short if run.name is None else f"{output.shown(run.name)} ({short})"
    took = "" if run.took_s is None else f" in {output.duration(run.took_s)}"
    return f"{name}  {run.status}{took}"


def _section(title: str, lines: list[str], most: int) -> list[str]:
    if not lines:
        return []
    more = len(lines) - most
    rest = f"  … and {more:,} more: --json has them all\n" if more > 0 else ""
    return [f"{title}\n{''.join(lines[:most])}{rest}"]


def _sides(kind: str, a: str, b: str) -> str:
    if kind == "added":
        return f": {b}"
    return f": {a}" if kind == "removed" else f": {a} {_arrow()} {b}"


def _arrow() -> str:
    return "→" if output.unicode_capable(sys.stdout) else "->"


def _spelled(value: spelling.JSON) -> str:
    return json.dumps(value, ensure_ascii=False)


def _value(one: ValueChange, text_of: TextOf) -> Iterator[str]:
    """Yield an input or output; two texts of several lines by their lines."""
    head = f"  {_MARKS[one.kind]} {output.shown(one.name)}"
    before, after = text_of(one.a), text_of(one.b)
    if one.kind == "changed" and before is not None and after is not None and "\n" in before + after:
        yield f"{head}\n"
        lines = list(difflib.unified_diff(lines_of(before), lines_of(after), n=2, lineterm=""))[2:]
        yield from (f"    {output.shown(line)}\n" for line in lines[:LINES_MAX])
        if len(lines) > LINES_MAX:
            yield f"    … and {len(lines) - LINES_MAX:,} more lines\n"
    else:
        yield f"{head}{_sides(one.kind, *briefly(_whole(one.a), _whole(one.b)))}\n"


def _whole(value: StoredValue) -> str:
    if isinstance(value, ArtifactRef):
        return f"{value.content_type} {value.digest[:16]} ({output.size(value.size)})"
    return _spelled(spelling.spelled(value))


def briefly(a: str, b: str) -> tuple[str, str]:
    """Both on one line each; of long ones with a common beginning, from where they begin to differ."""
    short = output.brief(a, _VALUE_MAX), output.brief(b, _VALUE_MAX)
    if a == b or short[0] != short[1]:
        return short
    same = next((at for at, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), 0)
    begin = max(0, same - _VALUE_MAX // 3)
    mark = "…" if output.unicode_capable(sys.stdout) else "..."
    return output.brief(mark + a[begin:], _VALUE_MAX), output.brief(mark + b[begin:], _VALUE_MAX)


def comparable(value: StoredValue, body: Callable[[ArtifactRef], bytes]) -> str | None:
    """Return the text of an output; `body` gives that of an artifact."""
    if isinstance(value, ArtifactRef):
        if not value.content_type.startswith("text/") or value.size > _TEXT_CHARS_MAX:
            return None
        return body(value).decode("utf-8", "replace")
    return value if isinstance(value, str) and len(value) <= _TEXT_CHARS_MAX else None


def _error(found: RunComparison) -> list[str]:
    a, b = found.a.error, found.b.error
    if _said(a) == _said(b):
        return []
    titles = [_title(found.nodes.get(e.node or "")) if e is not None else "" for e in (a, b)]
    return [f"error\n  {_said(a, titles[0])} {_arrow()} {_said(b, titles[1])}\n"]


def _said(error: RunError | None, title: str = "") -> str:
    """Return an error of a run on one line; `title` is what people call its node."""
    where = "" if error is None or error.node is None else f"{title or output.shown(error.node)}: "
    return where + _reason(error)


def _reason(error: RunError | None) -> str:
    if error is None:
        return "none"
    return f"[{output.shown(error.code)}] {output.brief(error.message, 2 * _VALUE_MAX)}"


def _node(one: NodeComparison) -> tuple[str, str, str, str, str]:
    a, b = one.a, one.b
    result = {True: "same", False: "different", None: ""}[one.same_result]
    errors = [] if a is None or b is None or a.error == b.error else [_reason(a.error), _reason(b.error)]
    return (
        _title(one),
        _pair("" if a is None else str(a.status), "" if b is None else str(b.status)),
        result,
        _pair(_took(a), _took(b)),
        f" {_arrow()} ".join(errors),
    )


def _title(one: NodeComparison | None) -> str:
    """Return the name of a node, and the label of an element: both where the runs have different ones."""
    if one is None:
        return ""
    labels = dict.fromkeys(side.label for side in (one.a, one.b) if side is not None and side.label)
    return output.shown(titled(one.name, f" {_arrow()} ".join(labels)))


def _pair(a: str, b: str) -> str:
    return a if a == b else f"{a or 'absent'} {_arrow()} {b or 'absent'}"


def _took(side: NodeSide | None) -> str:
    return "" if side is None or side.took_s is None else output.duration(side.took_s)


def _used(found: RunComparison) -> str:
    a, b = _usage(found.a.usage), _usage(found.b.usage)
    return "" if a == b else f"usage\n  {a} {_arrow()} {b}\n"


def _usage(used: Usage | None) -> str:
    return "none" if used is None else usage_text(used)


def _run(run: RunResult, shorts: Mapping[str, str]) -> dict[str, spelling.JSON]:
    told = spelling.result(run, shorts[run.run_id])
    return {key: value for key, value in told.items() if key not in ("nodes", "outputs")}


def _change(one: ValueChange) -> dict[str, spelling.JSON]:
    return {
        "name": one.name, "kind": one.kind, "a": spelling.spelled(one.a), "b": spelling.spelled(one.b),
    }  # fmt: skip


def _side(side: NodeSide | None) -> spelling.JSON:
    if side is None:
        return None
    label: dict[str, spelling.JSON] = {} if side.label is None else {"label": side.label}
    return label | {
        "status": str(side.status),
        "attempts": side.attempts,
        "duration_ms": None if side.took_s is None else round(side.took_s * 1000, 3),
        "error": spelling.error(side.error),
        "cached_from": side.reused_from,
        "usage": None if side.usage is None else spelling.usage(side.usage),
    }
