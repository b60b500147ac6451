"""The lineage of an artifact as a tree, and as JSON."""

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from symphony.app import spelling
from symphony.cli.console import output

if TYPE_CHECKING:
    from symphony.app.lineage import LineageArtifact, LineageLink
    from symphony.ports.artifacts import Provenance

_DIGEST_SHOWN: Final = 16
_NAMES_MAX: Final = 3
_MAKERS_MAX: Final = 5


def lineage_text(tree: "LineageArtifact", run_of: Callable[[str], str], *, down: bool) -> str:
    """Return the tree with how each artifact was made; `run_of` gives what a run is called."""
    marks = ("├─ ", "└─ ", "│  ") if output.unicode_capable(sys.stdout) else ("|- ", "`- ", "|  ")
    return "".join(f"{line}\n" for line in _lines(tree, run_of, marks, down=down, root=True))


def _lines(
    of: "LineageArtifact", run_of: Callable[[str], str], marks: tuple[str, str, str], *, down: bool,
    root: bool = False,
) -> Iterator[str]:  # fmt: skip
    yield f"{_called(of)}{' (shown elsewhere)' if of.shown else ''}"
    if of.shown:
        return
    last = len(of.under) - 1
    bar = marks[2] if of.under or of.more else "   "
    if root or not down:
        for line in _made(of, run_of):
            yield f"{bar}{line}"
    for at, (link, child) in enumerate(of.under):
        head, rest = (marks[1], "   ") if at == last and not of.more else (marks[0], marks[2])
        lines = _lines(child, run_of, marks, down=down)
        yield f"{head}{_link(link, run_of, down=down)}{next(lines)}"
        yield from (f"{rest}{line}" for line in lines)
    if of.more:
        yield f"{marks[1]}…  there is more: --depth shows it, up to 200 artifacts"


def _called(of: "LineageArtifact") -> str:
    kind = of.version.content_type if of.version is not None else ""
    size = of.version.size if of.version is not None else 0
    name = of.digest[:_DIGEST_SHOWN]
    if of.record is not None:
        kind, size = of.record.content_type, of.record.size
        asked = () if of.record.version is None else (of.record.version.label,)
        name = ", ".join([*asked, *of.record.labels][: 1 if asked else _NAMES_MAX]) or name
    elif of.version is not None:
        name = of.version.label
    deleted = ", deleted" if of.record is None else ""
    return output.shown(f"{name}  ({kind}, {output.size(size)}{deleted})" if kind else f"{name}{deleted}")


def _made(of: "LineageArtifact", run_of: Callable[[str], str]) -> Iterator[str]:
    """Yield how an artifact was made."""
    for by, more in of.made[:_MAKERS_MAX]:
        others = f", and by {output.count(more, 'more run')}" if more else ""
        yield output.shown(f"made by {_step(by, run_of)}{others}")
        for name, value in by.inputs.items():
            if value in of.values:
                yield output.shown(f"  input {name}: the value {value[:_DIGEST_SHOWN]}, which is no artifact")
        for name, told in by.parameters.items():
            yield output.shown(f"  {name} = {output.brief(told, 200)}")
    if (left := len(of.made) - _MAKERS_MAX) > 0:
        yield f"made by {output.count(left, 'more step')}: --json has them"
    if not of.made and of.version is not None:
        yield output.shown("stored by hand" + (f": {of.version.note}" if of.version.note else ""))


def _step(by: "Provenance", run_of: Callable[[str], str]) -> str:
    operator = f"{by.operator} {by.version}".strip()
    told = [
        f"{by.node or 'the workflow'}",
        f"({operator})" if operator else "",
        f"in run {run_of(by.run_id)}",
    ]
    model = f", model {by.model}" if by.model else ""
    return " ".join(filter(None, told)) + f", {output.moment(by.created_at)}" + model


def _link(link: "LineageLink", run_of: Callable[[str], str], *, down: bool) -> str:
    names = ", ".join(link.names)
    if link.kind == "parent":
        return "a person made " if down else "parent "
    if not down:
        return output.shown(f"input {names}: ") if link.kind == "input" else "through the workflow: "
    how = "" if link.by is None else f"{_step(link.by, run_of)} "
    through = f"took it as {names} and made " if link.kind == "input" else "came after it and made "
    return output.shown(f"{how}{through}")


def lineage_document(of: "LineageArtifact") -> dict[str, spelling.JSON]:
    """For programs: one artifact, how it was made, and what is under it."""
    under: list[spelling.JSON] = [
        {
            "link": link.kind,
            "inputs": list(link.names),
            "by": None if link.by is None else spelling.provenance(link.by),
            "artifact": lineage_document(child),
        }
        for link, child in of.under
    ]
    return {
        "digest": of.digest,
        "deleted": of.record is None,
        "version": None if of.version is None else spelling.version(of.version),
        "made": [{**spelling.provenance(by), "more_runs": more} for by, more in of.made],
        "values": list[spelling.JSON](sorted(of.values)),
        "under": under,
        "shown_elsewhere": of.shown,
        "more": of.more,
    }
