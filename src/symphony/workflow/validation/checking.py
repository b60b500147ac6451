"""Validation of a whole workflow: every problem at once."""

from collections.abc import Collection

import msgspec

from symphony.commons.collector import uncollected
from symphony.workflow.catalog import Catalog
from symphony.workflow.compiled import Compilation
from symphony.workflow.document_reading import DocumentReading
from symphony.workflow.model import EDGES_MAX, NODES_MAX, Workflow
from symphony.workflow.problems import ValidationReport, child
from symphony.workflow.types import ANY
from symphony.workflow.validation.children import Children, Resolve
from symphony.workflow.validation.commands import check_finish
from symphony.workflow.validation.cycles import check_cycles
from symphony.workflow.validation.edges import check_edges, fed_inputs
from symphony.workflow.validation.forgotten import warn_of_text
from symphony.workflow.validation.level import Level, Sheet, TooManyProblems
from symphony.workflow.validation.nodes import check_nodes
from symphony.workflow.validation.scope import Scope, output_ports
from symphony.workflow.validation.structure import check_structure
from symphony.workflow.validation.warnings import warn


class Checked(msgspec.Struct, frozen=True):
    """A workflow that was checked: the problems found, and all that was worked out on the way.

    `workflow` is None if nothing could be read. `compilation` has the compiled form of the workflow and
    of every sub-workflow that was looked at.
    """

    workflow: Workflow | None
    report: ValidationReport
    compilation: Compilation
    reading: DocumentReading | None = None
    """What could be read of the file, for a workflow from a file."""


def validate(
    workflow: Workflow, catalog: Catalog | None = None, *, resolve: Resolve | None = None,
    broken: Collection[str] | None = None, source: str | None = None,
) -> ValidationReport:  # fmt: skip
    """Return everything that is wrong with the meaning of a workflow. Never raises for a bad one.

    `catalog` has what it may name, by default what Symphony ships. `resolve` finds sub-workflows (None
    when not found; may raise SymphonyError for a broken one and WorkflowRecursive); without it they are
    not looked at. References inside a sub-workflow are resolved by `resolve.child(reference)` where
    there is such an attribute. `broken` names nodes that are there but could not be read: others may
    refer to them. Where it is given, the workflow was read; a workflow made in code is also checked for
    what reading would have refused. `source` names the file in messages.
    """
    with uncollected():  # until the garbage of the check is freed, too
        return check(workflow, catalog, resolve=resolve, broken=broken, source=source).report


def check(
    workflow: Workflow, catalog: Catalog | None = None, *, resolve: Resolve | None = None,
    broken: Collection[str] | None = None, source: str | None = None,
) -> Checked:  # fmt: skip
    """Validate as `validate` does; return what was worked out, too, from which a run is prepared."""
    compilation = Compilation()
    with uncollected():
        report = _validated(workflow, _or_builtin(catalog), resolve, broken, source, compilation)
    return Checked(workflow, report, compilation)


def _or_builtin(catalog: Catalog | None) -> Catalog:
    if catalog is not None:
        return catalog
    from symphony.workflow.builtin import builtin_catalog

    return builtin_catalog()


def _validated(
    workflow: Workflow, catalog: Catalog, resolve: Resolve | None, broken: Collection[str] | None,
    source: str | None, compilation: Compilation,
) -> ValidationReport:  # fmt: skip
    children = Children(catalog, resolve, output_ports, _check, compilation)
    if broken is not None:
        return _check(workflow, children.begin(workflow), broken, source)
    problems, broken = check_structure(workflow)
    if broken:
        sound = {name: node for name, node in workflow.nodes.items() if name not in broken}
        workflow = msgspec.structs.replace(workflow, nodes=sound)
    report = _check(workflow, children.begin(workflow), broken, source)
    return report if not problems else msgspec.structs.replace(report, errors=(*problems, *report.errors))


def _check(
    workflow: Workflow, children: Children, broken: Collection[str] = (), source: str | None = None
) -> ValidationReport:
    sheet = Sheet(workflow)
    sheet.errors.extend(children.own.problems)
    if len(workflow.nodes) > NODES_MAX:  # what is behind a cycle could take very long
        _too_many(sheet, "nodes", len(workflow.nodes), NODES_MAX, source)
    else:
        try:
            compiled = children.compilation.of(workflow)
            scope = Scope(workflow, children.catalog, children, compiled, broken=broken)
            _check_meaning(Level(sheet, scope, "nodes"), source)
        except TooManyProblems:
            pass
    return ValidationReport(errors=tuple(sheet.errors.found), warnings=tuple(sheet.warnings.found))


def _check_meaning(level: Level, source: str | None) -> None:
    sheet, workflow = level.sheet, level.sheet.workflow
    check_finish(level)
    check_nodes(level, fed_inputs(level) if workflow.edges else {})
    if workflow.edges:
        check_edges(level)
    read = list[int]()
    edges = sheet.edges
    for name, template in level.scope.compiled.outputs.items():
        level.value(template, ANY, level.scope, read, child("outputs", name))
        warn_of_text(level, template.value, child("outputs", name), level.scope)
    _wait_for_fallbacks(level)
    cyclic = check_cycles(level)
    if sheet.nodes > NODES_MAX:
        _too_many(sheet, "nodes", sheet.nodes, NODES_MAX, source)
    if edges > EDGES_MAX:
        _too_many(sheet, "edges", edges, EDGES_MAX, source)
    warn(level, set(read), cyclic=cyclic)


def _too_many(sheet: Sheet, what: str, count: int, most: int, source: str | None) -> None:
    message = f"{source or 'the workflow'} has {count:,} {what}, at most {most:,} are allowed"
    hint = "use for_each over a list, or sub-workflows"
    sheet.errors.add("limit-exceeded", "nodes", message, hint)


def _wait_for_fallbacks(level: Level) -> None:
    """Let a node that reads one with a fallback wait for that fallback, too."""
    spares = {
        number: node.on_error.fallback
        for number, node in enumerate(level.scope.nodes.values())
        if node.on_error.fallback is not None
    }
    if not spares:
        return
    for number, sources in enumerate(level.before):
        name = level.names[number]
        more = [spares[s] for s in dict.fromkeys(sources) if s in spares and spares[s] != name]
        sources.extend(level.number(spare) for spare in more if level.exists(spare))
