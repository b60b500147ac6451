"""Checks of explicit edges."""

from symphony.workflow.expressions import BadExpression, ValueTemplate
from symphony.workflow.model import ConditionalEdge, ControlEdge, DataEdge
from symphony.workflow.problems import child
from symphony.workflow.types import ANY, PortType, fits
from symphony.workflow.validation.level import Level, required
from symphony.workflow.validation.nodes import check_branch
from symphony.workflow.validation.scope import port_hint


def fed_inputs(level: Level) -> dict[str, set[str]]:
    """For each node, the inputs that explicit data edges give it."""
    fed: dict[str, set[str]] = {}
    for edge in level.sheet.workflow.edges:
        if isinstance(edge, DataEdge) and not edge.derived and edge.target in level.scope.nodes:
            fed.setdefault(edge.target, set()).add(edge.input or _only_input(level, edge.target) or "")
    return fed


def check_edges(level: Level) -> None:
    """Check every explicit edge of the workflow, and note which node waits for which."""
    given: set[tuple[str, str]] = set()
    templates = level.scope.compiled.edges
    for i, edge in enumerate(level.sheet.workflow.edges):
        if not isinstance(edge, ConditionalEdge) and edge.derived:
            continue
        place, sound = child("edges", i), True
        for key, name in (("from", edge.source), ("to", edge.target)):
            if not level.exists(name):
                level.unknown_node(name, child(place, key))
                sound = False
        level.sheet.edges += 1
        if not sound:
            if isinstance(edge, ConditionalEdge) and (when := templates[i]) is not None:
                level.boolean(when, level.scope, [], child(place, "when"))
            continue
        target = level.number(edge.target)
        before = level.before[target] if target >= 0 else []
        before.append(level.number(edge.source))
        match edge:
            case DataEdge():
                _data(level, edge, templates[i], before, place, given)
            case ControlEdge(branch=str(branch)):
                check_branch(level, edge.source, branch, child(place, "from"))
            case ConditionalEdge() if (when := templates[i]) is not None:
                level.boolean(when, level.scope, before, child(place, "when"))


def _data(
    level: Level, edge: DataEdge, transform: ValueTemplate | None, before: list[int], place: str,
    given: set[tuple[str, str]],
) -> None:  # fmt: skip
    kind = _output_type(level, edge, place)
    target = _input_type(level, edge, place, given)
    if transform is not None:
        try:
            made = transform.type_in(level.scope.seeing(value=kind or ANY).types)
        except BadExpression as error:
            level.bad(error, child(place, "transform"))
            return
        level.reads(transform.reads, before)
        kind = made if kind is not None else None
    if kind is not None and target is not None and not fits(kind, target):
        message = f"{kind} does not fit {target}"
        level.error(
            "type-mismatch", child(place, "to"), message, f"give {target}, for instance by a transform"
        )


def _output_type(level: Level, edge: DataEdge, place: str) -> PortType | None:
    """Return the type of what the edge carries; None where that is not known."""
    ports = level.scope.outputs(edge.source)
    if ports is None:
        return ANY
    name = edge.output or (next(iter(ports)) if len(ports) == 1 else "")
    if name not in ports:
        message = (
            f"{edge.source} has no output {name!r}" if name else f"{edge.source} has not exactly one output"
        )
        level.error("unknown-port", child(place, "from"), message, port_hint(name, ports))
        return None
    return ports[name].type


def _input_type(level: Level, edge: DataEdge, place: str, given: set[tuple[str, str]]) -> PortType | None:
    node = level.scope.nodes.get(edge.target)
    if node is None:
        return None
    name, where = edge.input or _only_input(level, edge.target) or "", child(place, "to")
    if name and (name in node.inputs or (edge.target, name) in given):
        message = f"the input {name!r} of {edge.target} is given twice"
        level.error("duplicate-name", where, message, "give it either under `inputs` or by one edge")
    given.add((edge.target, name))
    ports = level.scope.inputs_of(node)
    if ports is None:
        return None
    if name not in ports:
        message = (
            f"{edge.target} has no input {name!r}" if name else f"{edge.target} has not exactly one input"
        )
        level.error("unknown-port", where, message, port_hint(name, ports, "input"))
        return None
    return ports[name].type


def _only_input(level: Level, name: str) -> str | None:
    """Return the input that an edge without an input name means: the only one, or the only required one."""
    ports = level.scope.inputs_of(level.scope.nodes[name]) or {}
    needed = required(ports)
    names = list(ports) if len(ports) == 1 else list(needed)
    return names[0] if len(names) == 1 else None
