"""Warnings: nodes that nothing needs, nodes that can never run, inputs that nothing reads."""

from collections import deque

from symphony.workflow.expressions import BadExpression, bare
from symphony.workflow.model import ConditionalEdge, ControlNode, Node
from symphony.workflow.problems import child
from symphony.workflow.validation.level import Level


def warn(level: Level, in_outputs: set[str], *, cyclic: bool) -> None:
    """Add the warnings of a workflow; `in_outputs` are the nodes that its outputs read."""
    findings, workflow = level.sheet.warnings, level.sheet.workflow
    for name in workflow.inputs:
        if name not in level.sheet.used_inputs and not level.scope.broken:
            hint = "remove it, or read it as inputs." + name
            findings.add("unused-input", child("inputs", name), f"nothing reads the input {name!r}", hint)
    if len(level.before) + len(level.scope.broken) > 1:
        read: set[str] = set().union(*level.before.values())
        for name, sources in level.before.items():
            if not sources and name not in read and name not in in_outputs and not level.scope.broken:
                message, hint = f"{name} has no edges and is in no output", "connect it, or remove it"
                findings.add("orphan", child("nodes", name), message, hint)
    if not cyclic:
        for name, why in _never(level).items():
            findings.add(
                "unreachable", child("nodes", name), f"{name} can never run: {why}", "check its conditions"
            )


def _never(level: Level) -> dict[str, str]:
    """Nodes that can never run, and why; those switched off on purpose are not among them."""
    nodes = level.scope.nodes
    conditional = {(e.source, e.target) for e in level.sheet.workflow.edges if isinstance(e, ConditionalEdge)}
    dead = {name: "it is switched off" for name, node in nodes.items() if not node.enabled}
    off = set(dead)
    for name, node in nodes.items():
        if node.when is None and not node.after:
            continue
        why = _on_its_own(node, level) if name not in dead else None
        if why:
            dead[name] = why
    if not dead:
        return {}
    after: dict[str, set[str]] = {}
    for name, sources in level.before.items():
        for source in sources:
            after.setdefault(source, set()).add(name)
    queue = deque(dead)
    while queue:
        source = queue.popleft()
        for target in after.get(source, ()):
            if target in dead or target not in nodes or (source, target) in conditional:
                continue
            if _needs_one(nodes[target]) and any(before not in dead for before in level.before[target]):
                continue
            if not _needs_one(nodes[target]) and nodes[source].on_error.fallback == target:
                dead[target] = f"it stands in for {source}, which never runs"
            elif source in level.before[target] and not _only_spare(level, source, target):
                dead[target] = f"it waits for {source}, which never runs"
            else:
                continue
            queue.append(target)
    return {name: dead[name] for name in nodes if name in dead and name not in off}


def _only_spare(level: Level, source: str, target: str) -> bool:
    """Does `target` wait for `source` because it may stand in for another?"""
    return any(
        level.scope.nodes[name].on_error.fallback == source
        for name in level.before[target]
        if name in level.scope.nodes
    )


def _needs_one(node: Node) -> bool:
    return node.join == "any" or (isinstance(node, ControlNode) and node.control == "merge")


def _on_its_own(node: Node, level: Level) -> str | None:
    if node.when is not None and _constant(node.when) is False:
        return "its condition is always false"
    taken: dict[str, set[str]] = {}
    for text in node.after:
        if "." not in text:
            continue
        source, _, branch = text.partition(".")
        other = level.scope.nodes.get(source)
        if not isinstance(other, ControlNode) or other.control != "branch":
            continue
        taken.setdefault(source, set()).add(branch)
        decided = None if other.condition is None else _constant(other.condition)
        if (
            decided is not None
            and branch in ("true", "false")
            and branch != str(decided).lower()
            and not _needs_one(node)
        ):
            return f"{source} never takes {branch}"
    if not _needs_one(node):
        for source, names in taken.items():
            if len(names) > 1:
                return f"{source} takes one branch, and it waits for {' and '.join(sorted(names))}"
    return None


def _constant(text: str) -> bool | None:
    try:
        return {"true": True, "false": False}.get(bare(text).strip())
    except BadExpression:
        return None
