"""Fingerprints of the code, the models and the templates behind the nodes of a run, taken as it begins."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts.values.codec import value_digest
from symphony.pit.tracker.nodes.attempt import never
from symphony.pit.tracker.nodes.graphs import WorkGraph
from symphony.pit.tracker.nodes.work import CallWork, LoopWork, ModelWork, OperatorWork
from symphony.ports.models import Models
from symphony.ports.values import Value
from symphony.sdk.context import Context
from symphony.sdk.fingerprints import is_own
from symphony.sdk.paths import path_finder

Prints: TypeAlias = Mapping[str, str]
"""Fingerprints by the names that `print_keys` gives. What is not known has none."""


class RunPrints(msgspec.Struct, frozen=True):
    """The fingerprints of a run, and by id those of the runs whose results it reused."""

    own: Prints | None = None
    taken: Mapping[str, Prints | None] = {}

    def of(self, run_id: str | None) -> Prints | None:
        """Return the fingerprints for a result from the run `run_id`; None means this run."""
        return self.own if run_id is None else self.taken.get(run_id, self.own)


READS: Final = ":reads"
_PART: Final = "\npart "
"""Separates the digest of all code that an operator runs from the digest without the rest of its file."""


def print_keys(work: CallWork, prefix: str) -> Iterator[str]:
    """Yield the names of a node's fingerprints in the graph whose nodes' full names begin with `prefix`."""
    yield f"{prefix}:{work.runs}"
    if reads_at_start(work):
        yield f"{prefix}{work.name}{READS}"


def reads_at_start(work: CallWork) -> bool:
    """True if it reads files of the workflow itself, such as templates. Its path inputs name other files."""
    if not isinstance(work, OperatorWork) or work.operator.reads is None:
        return False
    return all(path_finder(port.type) is None for port in work.operator.info.inputs.values())


def code_prints(graph: WorkGraph, models: Models, prefix: str = "") -> dict[str, str]:
    """Return the fingerprints of operators and models. Blocking: reads files of code."""
    found: dict[str, str] = {}
    for number, work in enumerate(graph.works):
        if isinstance(work, OperatorWork | ModelWork):
            key = next(print_keys(work, prefix))
            if key not in found and (told := _code(work, models)) is not None:
                found[key] = told
        inner = graph.below.get(number)
        if inner is not None:
            found |= code_prints(inner, models, f"{prefix}{work.name}.")
    return found


def read_any(graph: WorkGraph) -> bool:
    """True if any node, here or inside, reads files that belong to the workflow."""
    mine = any(isinstance(work, OperatorWork) and reads_at_start(work) for work in graph.works)
    return mine or any(map(read_any, graph.below.values()))


def read_prints(
    graph: WorkGraph, inputs: Mapping[str, Value], cwd: Path, base: Path, prefix: str = ""
) -> dict[str, str]:
    """Return fingerprints of the files that nodes read and that the workflow or its `inputs` name.

    Blocking: reads these files.
    """
    found: dict[str, str] = {}
    for number, work in enumerate(graph.works):
        if isinstance(work, OperatorWork) and reads_at_start(work):
            told = _read(work, inputs, cwd, work.base or base)
            if told is not None:
                found[f"{prefix}{work.name}{READS}"] = told
        inner = graph.below.get(number)
        if inner is not None:
            known = inputs if isinstance(work, LoopWork) else {}
            found |= read_prints(inner, known, cwd, work.base or base, f"{prefix}{work.name}.")
    return found


def _code(work: CallWork, models: Models) -> str | None:
    if isinstance(work, ModelWork):
        try:
            return f"{work.version} {models.fingerprint(work.model)}"
        except SymphonyError:
            return None
    if is_own(work.operator.function):
        return f"symphony {work.operator.info.version}"
    code = work.operator.code
    part = None if code is None else work.operator.part
    return code if part is None else f"{code}{_PART}{part}"


def same_print(before: str, now: str) -> bool:
    """True if two fingerprints are of the same code. The rest of the file around a function may differ."""
    (code, mark, part), (new, new_mark, new_part) = before.partition(_PART), now.partition(_PART)
    return code == new or (bool(mark and new_mark) and part == new_part)


def _read(work: OperatorWork, inputs: Mapping[str, Value], cwd: Path, base: Path) -> str | None:
    given: dict[str, Value] = {}
    for name, template in work.inputs.items():
        if template.constant:
            given[name] = template.value
        elif template.bare is not None and template.bare.kind == "input":
            given[name] = inputs.get(template.bare.name)
    context = Context(
        run_id="", node=work.name, attempt=1, cwd=cwd, base=base, log=lambda *_: None, cancelled=never
    )
    if work.operator.reads is None or not is_own(work.operator.function):
        return None  # users' code may take long or raise anything: do not wait for it here
    try:
        told = work.operator.reads(given, context)
    except (SymphonyError, OSError, ValueError, TypeError):  # the node itself will report what is wrong
        return None
    return None if told is None else value_digest(told)
