"""Warnings: nodes that nothing needs, nodes that can never run, inputs that nothing reads."""

from collections import deque

from symphony.workflow.expressions import ValueTemplate
from symphony.workflow.model import ConditionalEdge, ControlNode, Node
from symphony.workflow.problems import child
from symphony.workflow.validation.effects import has_effects
from symphony.workflow.validation.level import Level


def warn(level: Level, in_outputs: set[int], *, cyclic: bool) -> None:
    """Add the warnings of a workflow; `in_outputs` are the nodes that its outputs read.

    What seems not to be read may be what an erroneous expression means: while there are errors, nothing
    is said to be unused.
    """
    findings, workflow = level.sheet.warnings, level.sheet.workflow
    whole = not level.scope.broken and not level.sheet.errors.found
    for name in workflow.inputs:
        if whole and name not in level.sheet.used_inputs:
            hint = "remove it, or read it as inputs." + name
            findings.add("unused-input", child("inputs", name), f"nothing reads the input {name!r}", hint)
    if whole and len(level.before) > 1:
        read: set[int] = in_outputs.union(*level.before)
        for node, sources in enumerate(level.before):
            if not sources and node not in read:
                name = level.names[node]
                if has_effects(
                    level.scope.nodes[name], level.scope.catalog, level.scope.children.has_effects
                ):
                    continue
                if findings.full:
                    break
                message, hint = (
                    f"no node reads what {name} gives, and {name} changes nothing",
                    "connect it, or remove it",
                )
                findings.add("orphan", child("nodes", name), message, hint)
    if not cyclic:
        for name, why in _never(level).items():
            findings.add(
                "unreachable", child("nodes", name), f"{name} can never run: {why}", "check its conditions"
            )


def _never(level: Level) -> dict[str, str]:
    """Return the nodes that can never run, and why. Nodes switched off on purpose are left out."""
    names, nodes = level.names, list(level.scope.nodes.values())
    dead = {number: "it is switched off" for number, node in enumerate(nodes) if not node.enabled}
    off = set(dead)
    for number, node in enumerate(nodes):
        if node.when is None and "." not in "".join(node.after):
            continue
        why = _on_its_own(number, node, level) if number not in dead else None
        if why:
            dead[number] = why
    if not dead:
        return {}
    conditional = {(e.source, e.target) for e in level.sheet.workflow.edges if isinstance(e, ConditionalEdge)}
    after: dict[int, dict[int, None]] = {}
    for number, sources in enumerate(level.before):
        for source in sources:
            after.setdefault(source, {})[number] = None
    queue = deque(dead)
    while queue:
        source = queue.popleft()
        for target in after.get(source, ()):
            if target in dead or (names[source], names[target]) in conditional:
                continue
            if _needs_one(nodes[target]) and any(before not in dead for before in level.before[target]):
                continue
            if not _needs_one(nodes[target]) and nodes[source].on_error.fallback == names[target]:
                dead[target] = f"it stands in for {names[source]}, which never runs"
            elif source in level.before[target] and not _only_spare(level, source, target):
                dead[target] = f"it waits for {names[source]}, which never runs"
            else:
                continue
            queue.append(target)
    return {names[number]: dead[number] for number in sorted(dead) if number not in off}


def _only_spare(level: Level, source: int, target: int) -> bool:
    """True if `target` waits for `source` only because it may stand in for another node."""
    return any(
        level.scope.nodes[level.names[number]].on_error.fallback == level.names[source]
        for number in level.before[target]
        if number >= 0
    )


def _needs_one(node: Node) -> bool:
    return node.join == "any" or (isinstance(node, ControlNode) and node.control == "merge")


def _on_its_own(number: int, node: Node, level: Level) -> str | None:
    compiled = level.scope.compiled
    more = compiled.nodes[number].more
    if more is not None and _constant(more.when) is False:
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
        chooser = compiled.nodes[compiled.index[source]].more
        decided = None if chooser is None else _constant(chooser.condition)
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


def _constant(template: ValueTemplate | None) -> bool | None:
    value = template.value if template is not None and template.constant else None
    return value if isinstance(value, bool) else None
