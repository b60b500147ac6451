"""Reads nodes: options, control kinds, loops, and steps, which are command nodes. Pure."""

from collections.abc import Collection, Mapping
from math import isfinite
from typing import Final

from symphony.commons.integers import INTEGER_MAX, INTEGER_MIN
from symphony.ports.artifacts import LABEL_HINT, NAME_HINT, is_label, is_name
from symphony.workflow.documents.tree import DEPTH_MAX, Tree
from symphony.workflow.fields import (
    BAD,
    Fields,
    Owners,
    Reader,
    boolean,
    choice,
    condition,
    counted,
    duration,
    filled_text,
    free_values,
    missing,
    named_values,
    section,
    text,
    texts,
    whole,
)
from symphony.workflow.model import (
    FAIL,
    NAME,
    ArtifactSpec,
    CommandNode,
    ControlNode,
    InstrumentNode,
    Node,
    OnError,
    OperatorNode,
    Retry,
    SubWorkflowNode,
)
from symphony.workflow.problems import Code, child, shown
from symphony.workflow.schema_usual import FAN_OUT_KEYS, Kinds, Usual, all_legal, usual_nodes

CONTROL_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "branch": ("condition", "switch", "cases", "default"),
    "merge": (),
    "delay": ("for", "until"),
    "approval": ("message", "on_timeout"),
    "loop": ("state", "body", "next", "while", "until", "max_iterations"),
}
"""The keys that only control nodes of one kind have."""

ALTERNATIVES: Final[Mapping[str, tuple[str, str]]] = {
    "branch": ("condition", "switch"),
    "delay": ("for", "until"),
    "loop": ("while", "until"),
}
"""Two keys of which a control node of one kind has exactly one."""

_PYTHON_NAMES: Final = {"for": "for_", "while": "while_"}
_SKIP: Final = OnError(action="skip")


def read_nodes(tree: Tree, place: str, fields: Fields) -> dict[str, Node] | None:
    """Return the nodes of a workflow or of a loop's body; None if there are too many altogether."""
    if fields.depth > DEPTH_MAX:  # Python can build loops nested without end
        message, hint = "loops are nested too deeply", "move inner loops into sub-workflows"
        fields.findings.add("limit-exceeded", place, message, hint)
        return None
    found = fields.map(tree, *_parted(place), "nodes")
    if found is None:
        return {}
    if len(found) > fields.nodes_left:
        message = f"there are more than {fields.nodes_max:,} nodes"
        hint = "let one node do many things with for_each, or split the workflow"
        fields.findings.add("limit-exceeded", place, message, hint)
        return None
    fields.nodes_left -= len(found)
    fields.depth += 1
    nodes: dict[str, Node] = {}
    prefix = f"{place}."
    if not NODE_KEYS.isdisjoint(found):
        from symphony.workflow.misplaced import regrouped_nodes

        found = regrouped_nodes(found, NODE_KEYS, _KINDS, fields, place)
    legal, usual = all_legal(found), usual_in(fields)
    for name, raw in found.items():
        good = legal or fields.legal_node(name, place)
        if not good and type(raw) is not dict:  # one error is enough
            fields.broken.add(name)
            continue
        node = usual(raw) or read_node(fields, raw, prefix + name)
        if node is None or not good:
            fields.broken.add(name)
        else:
            nodes[name] = node
    fields.depth -= 1
    return nodes


def _parted(place: str) -> tuple[str, str]:
    around, _, key = place.rpartition(".")
    return around, key


def usual_in(fields: Fields) -> Usual:
    """Read the plain nodes at the place where `fields` is now."""
    return usual_nodes(fields, _KINDS, _OPTIONS)


def read_node(fields: Fields, tree: Tree, place: str) -> Node | None:
    """Return the node that `tree` spells; None, reported, if it does not spell one."""
    if type(tree) is not dict:
        from symphony.workflow.remedies import node_hint

        hint = node_hint(place.rpartition(".")[2], tree)
        fields.wrong(place, "", f"a node must be a map, not {shown(tree)}", hint)
        return None
    if not NODE_KEYS.issuperset(tree):
        from symphony.workflow.misplaced import regrouped

        own = _OWN_KEYS if "control" not in tree else NODE_KEYS
        tree = regrouped(tree, own, _OWNERS, _KINDS, fields, place)
    made: dict[str, object] = {}
    kinds: list[str] = []
    others: list[str] = []
    for key, item in tree.items():
        reader = _OPTIONS.get(key)
        if reader is not None:
            found = reader(fields, item, place, key)
            if found is not BAD:
                made[key] = found
        elif key in _KINDS:
            kinds.append(key)
        else:
            others.append(key)
    if len(kinds) != 1:
        from symphony.workflow.remedies import meant_kind

        meant = None if kinds else meant_kind((key for key in others if type(key) is str), _KINDS)
        if meant is not None:
            fields.unknown(meant, place, _KINDS, "a node")
            return None
        said = (
            f"a node has one kind, and this one has {' and '.join(kinds)}"
            if kinds
            else "the node has no kind"
        )
        hint = f"write exactly one of {', '.join(_KINDS)}"
        fields.wrong(place, "", said, hint)
        return None
    return _of_kind(fields, tree, place, kinds[0], made, others)


def _of_kind(
    fields: Fields, tree: dict[str, Tree], place: str, kind: str, made: dict[str, object], others: list[str]
) -> Node | None:
    """Return the node of one kind, from its options and from the other keys, which may belong to it."""
    read, struct = _KINDS[kind]
    what = read(fields, tree[kind], place, kind)
    own: tuple[str, ...] = ()
    shown_kind = f"a node with {kind}"
    if kind == "control" and what is not BAD:
        shown_kind, own = f"a {what}", CONTROL_KEYS[str(what)]
        others = _control_keys(fields, tree, place, str(what), made, others)
    if others:
        _unknown(fields, others, place, own, shown_kind, kind)
    if "for_each" not in tree and not FAN_OUT_KEYS.isdisjoint(made):
        _stray(fields, made, place)
    if made.get("body") is BAD:
        return None
    if what is BAD:
        return None
    made[kind] = what
    return struct(**made)  # type: ignore[arg-type]  # the readers give what the fields take


def _stray(fields: Fields, made: Collection[str], place: str) -> None:
    """Report keys of fan-outs on a node that is not a fan-out."""
    for key in (key for key in made if key in FAN_OUT_KEYS):
        code: Code = "type-mismatch" if key == "concurrency" else "unknown-key"
        fields.findings.add(
            code, child(place, key), f"{key} belongs to for_each", "remove it, or add for_each:"
        )


def _unknown(fields: Fields, keys: list[str], place: str, own: tuple[str, ...], what: str, kind: str) -> None:
    for key in keys:
        if type(key) is not str:
            fields.wrong(place, "", f"a key must be text, not {shown(key)}", "put it in quotes")
            continue
        owners = [kind for kind, names in CONTROL_KEYS.items() if key in names]
        if key == "env":
            from symphony.workflow.remedies import env_hint

            message = f"{what} has no key {shown(key)}"
            fields.findings.add("unknown-key", child(place, key), message, env_hint(kind))
        elif key in _RETRY and not owners:
            hint = f"{key} belongs to retry: write retry: {{{key}: …}}"
            fields.findings.add("unknown-key", child(place, key), f"{what} has no key {shown(key)}", hint)
        elif owners:
            hint = f"{key} belongs to control: {' and '.join(owners)}"
            fields.findings.add("unknown-key", child(place, key), f"{what} has no key {shown(key)}", hint)
        else:
            fields.unknown(key, place, (*_KINDS, *own, *_OPTIONS), what)


def _control_keys(
    fields: Fields,
    tree: dict[str, Tree],
    place: str,
    control: str,
    made: dict[str, object],
    others: list[str],
) -> list[str]:
    """Read the keys of this kind of control node into `made`; gives those that are not its own."""
    own = CONTROL_KEYS[control]
    fields.depth += 1
    for key in others:
        if key in own:
            found = _CONTROL_READERS[key](fields, tree[key], place, key)
            if found is not BAD or key == "body":
                made[_PYTHON_NAMES.get(key, key)] = found
    fields.depth -= 1
    _complete(fields, tree, place, control)
    return [key for key in others if key not in own]


def _complete(fields: Fields, tree: Mapping[str, Tree], place: str, control: str) -> None:
    """Report keys that this kind of control node lacks, or of which it has too many."""
    if control in ALTERNATIVES:
        first, second = ALTERNATIVES[control]
        if first in tree and second in tree:
            message = f"a {control} has {first} or {second}, not both"
            fields.wrong(place, second, message, f"remove {first}: or {second}:")
        elif first not in tree and second not in tree:
            message = f"the {control} has neither {first} nor {second}"
            fields.findings.add("missing-input", place, message, f"add {first}: or {second}:")
    if control == "branch":
        if "switch" in tree:
            missing(fields, tree, place, ("cases",), "the branch")
        else:
            for key in ("cases", "default"):
                if key in tree:
                    fields.findings.add(
                        "unknown-key",
                        child(place, key),
                        f"a branch without switch has no {key}",
                        "add switch:",
                    )
    elif control == "loop":
        missing(fields, tree, place, ("body",), "the loop")


def _command(fields: Fields, tree: Tree, place: str, key: str) -> object:
    if not isinstance(tree, str):
        from symphony.workflow.remedies import command_hint

        return fields.wrong(place, key, f"command must be text, not {shown(tree)}", command_hint(tree))
    found = filled_text(fields, tree, place, key)
    if not isinstance(found, str):
        return found
    if "${{" in found.replace("$${{", ""):
        message = "a command holds no expressions: what they give would become shell code"
        hint = 'give the value as an input and write "$NAME", its name in capitals'
        fields.findings.add("bad-expression", child(place, key), message, hint)
    if "\0" in found:
        return fields.wrong(place, key, "a command cannot hold the character NUL", "remove it")
    return found


def _for_each(fields: Fields, tree: Tree, place: str, key: str) -> object:
    if isinstance(tree, str):
        return tree
    if isinstance(tree, list):
        return fields.value(tree, place, key)
    return fields.wrong(
        place, key, f"for_each needs a list or CEL text, not {shown(tree)}", "write [a, b] or NODE.PORT"
    )


def _names(fields: Fields, tree: Tree, place: str, key: str) -> object:
    """Read `after`: each is NODE or NODE.BRANCH."""
    names = texts(fields, tree, place, key)
    if not isinstance(names, tuple):
        return BAD
    good: list[str] = []
    for i, name in enumerate(names):
        node, dot, branch = name.partition(".")
        if NAME.fullmatch(node) and (not dot or NAME.fullmatch(branch)):
            good.append(name)
        else:
            fields.wrong(child(place, key), i, f"{shown(name)} names no node", "write NODE or NODE.BRANCH")
    return tuple(dict.fromkeys(good))


def _node_name(fields: Fields, tree: Tree, place: str, key: str) -> object:
    found = text(fields, tree, place, key)
    if isinstance(found, str) and not NAME.fullmatch(found):
        return fields.wrong(place, key, f"{shown(found)} is not a name", "write a name")
    return found


def _retry(fields: Fields, tree: Tree, place: str, key: str) -> object:
    found = fields.map(tree, place, key, key)
    if found is None:
        return BAD
    return Retry(**section(fields, found, child(place, key), _RETRY, key))  # type: ignore[arg-type]  # as above


def _on_error(fields: Fields, tree: Tree, place: str, key: str) -> object:
    if isinstance(tree, str) and tree in ("fail", "skip"):
        return FAIL if tree == "fail" else _SKIP
    at = child(place, key)
    hint = "write fail, skip, {value: {PORT: …}} or {fallback: NODE}"
    if isinstance(tree, str):
        return fields.wrong(place, key, f"on_error cannot be {shown(tree)}", hint)
    found = fields.map(tree, place, key, key, hint)
    if found is None:
        return BAD
    fields.depth += 1
    made = section(fields, found, at, _ON_ERROR, key)
    fields.depth -= 1
    if len([name for name in found if name in _ON_ERROR]) != 1:
        return fields.wrong(place, key, "on_error needs one of value and fallback", hint)
    if not made:
        return BAD
    return OnError(action=next(iter(made)), **made)  # type: ignore[arg-type]  # as above


def _label(fields: Fields, tree: Tree, place: str, key: str) -> object:
    """Read the name or content type of an artifact. Only a literal one can be checked."""
    found = filled_text(fields, tree, place, key)
    may_be, hint = (is_name, NAME_HINT) if key == "name" else (is_label, LABEL_HINT)
    if isinstance(found, str) and "${{" not in found and not may_be(found):
        message = f"this cannot be the {key.replace('_', ' ')} of an artifact"
        return fields.wrong(place, key, message, hint)
    return found


def _artifact(fields: Fields, tree: Tree, place: str, key: str) -> object:
    found = fields.map(tree, place, key, key)
    if found is None:
        return BAD
    at = child(place, key)
    made = section(fields, found, at, _ARTIFACT, key)
    if missing(fields, found, at, ("name",), "the artifact") or "name" not in made:
        return BAD
    return ArtifactSpec(**made)  # type: ignore[arg-type]  # as above


def _position(fields: Fields, tree: Tree, place: str, key: str) -> object:
    if isinstance(tree, list | tuple) and len(tree) == 2 and _coordinate(tree[0]) and _coordinate(tree[1]):
        return tree[0], tree[1]
    return fields.wrong(place, key, "a position is two numbers", "write [x, y]")


def _coordinate(tree: Tree) -> bool:
    if isinstance(tree, float):
        return isfinite(tree)
    return isinstance(tree, int) and not isinstance(tree, bool) and INTEGER_MIN <= tree <= INTEGER_MAX


def _body(fields: Fields, tree: Tree, place: str, key: str) -> object:
    if tree == {} or tree is None:
        fields.findings.add(
            "missing-input", child(place, key), "the body has no nodes", "add at least one node"
        )
        return {}
    nodes = read_nodes(tree, child(place, key), fields)
    return BAD if nodes is None else nodes


def _cases(fields: Fields, tree: Tree, place: str, key: str) -> object:
    if tree == {}:
        return fields.wrong(place, key, "cases is empty", "write cases: {NAME: value}")
    return named_values(fields, tree, place, key)


def read_steps(tree: Tree, fields: Fields) -> dict[str, Node] | None:
    """Read steps as command nodes, which run one after the other unless one of them has `needs`."""
    if tree == [] or tree is None:
        fields.findings.add(
            "missing-input", "steps", "the workflow has no steps", "add - {name: …, command: …}"
        )
        return {}
    if not isinstance(tree, list):
        fields.wrong("", "steps", f"steps must be a list, not {shown(tree)}", "write - {name: …, command: …}")
        return {}
    if len(tree) > fields.nodes_left:
        message, hint = f"there are more than {fields.nodes_max:,} steps", "split the workflow"
        fields.findings.add("limit-exceeded", "steps", message, hint)
        return None
    free = any(isinstance(raw, dict) and "needs" in raw for raw in tree)
    names = _step_names(fields, tree)
    nodes: dict[str, Node] = {}
    last: tuple[str, ...] = ()
    for i, raw in enumerate(tree):
        name = names[i]
        made = _step(fields, raw, i, frozenset(names.values()))
        if name is None:
            continue
        fields.aliases[f"nodes.{name}"] = f"steps[{i}]"
        if made is None or "command" not in made:
            fields.broken.add(name)
        else:
            after = made.get("needs", ()) if free else last
            nodes[name] = CommandNode(command=made["command"], after=after)  # type: ignore[arg-type]  # as above
            last = (name,)
    return nodes


def _step_names(fields: Fields, steps: list[Tree]) -> dict[int, str | None]:
    """Return the name of each step, or None where its own is missing or bad; bad ones are reported."""
    seen: set[str] = set()
    names: dict[int, str | None] = {}
    for i, raw in enumerate(steps):
        name = raw.get("name") if isinstance(raw, dict) else None
        at = f"steps[{i}].name"
        names[i] = None
        if not isinstance(name, str) or not fields.legal_node(name, "steps", at):
            continue
        if name in seen:
            fields.findings.add("duplicate-name", at, f"there are two steps {shown(name)}", "rename one")
        else:
            names[i] = name
            seen.add(name)
    return names


def _step(fields: Fields, tree: Tree, index: int, names: frozenset[str | None]) -> dict[str, object] | None:
    if type(tree) is not dict:
        from symphony.workflow.remedies import step_hint

        fields.wrong("steps", index, f"a step must be a map, not {shown(tree)}", step_hint(tree))
        return None
    found = fields.map(tree, "steps", index, "a step")
    if found is None:
        return None
    place = f"steps[{index}]"
    made = section(fields, found, place, _STEP, "a step")
    wanted = ["name", "command"]
    if len(found) > len(made) and "command" not in found:
        from symphony.workflow.remedies import meant_kind

        if meant_kind((key for key in found if key not in _STEP), ("command",)):
            wanted.remove("command")  # reported already: the unknown key was meant as one
    missing(fields, found, place, wanted, "the step")
    needs = made.get("needs", ())
    assert isinstance(needs, tuple)
    for i, name in enumerate(needs):
        if name not in names:
            message, hint = f"there is no step {shown(name)}", "name another step of this workflow"
            fields.findings.add("unknown-node", f"{place}.needs[{i}]", message, hint)
    made["needs"] = tuple(name for name in dict.fromkeys(needs) if name in names)
    return made


_KINDS: Final[Kinds] = {
    "operator": (filled_text, OperatorNode),
    "instrument": (filled_text, InstrumentNode),
    "control": (choice(*CONTROL_KEYS), ControlNode),
    "workflow": (filled_text, SubWorkflowNode),
    "command": (_command, CommandNode),
}
_OPTIONS: Final[Mapping[str, Reader]] = {
    "inputs": named_values,
    "config": free_values,
    "for_each": _for_each,
    "concurrency": counted,
    "fail_fast": boolean,
    "label": condition,
    "when": condition,
    "after": _names,
    "join": choice("all", "any"),
    "retry": _retry,
    "timeout": duration,
    "on_error": _on_error,
    "idempotent": boolean,
    "priority": whole,
    "cache": choice("auto", "on", "off"),
    "artifact": _artifact,
    "description": text,
    "position": _position,
    "enabled": boolean,
    "metadata": free_values,
}
_CONTROL_READERS: Final[Mapping[str, Reader]] = {
    "condition": condition,
    "switch": condition,
    "cases": _cases,
    "default": _node_name,
    "for": duration,
    "until": condition,
    "message": text,
    "on_timeout": choice("fail", "approve", "reject"),
    "state": named_values,
    "body": _body,
    "next": named_values,
    "while": condition,
    "max_iterations": counted,
}
_RETRY: Final[Mapping[str, Reader]] = {
    "attempts": counted,
    "backoff": choice("constant", "linear", "exponential"),
    "initial": duration,
    "max": duration,
    "jitter": boolean,
}
_ON_ERROR: Final[Mapping[str, Reader]] = {"value": named_values, "fallback": _node_name}
_ARTIFACT: Final[Mapping[str, Reader]] = {
    "name": _label,
    "content_type": _label,
    "port": _node_name,
}
_STEP: Final[Mapping[str, Reader]] = {"name": text, "command": _command, "needs": texts}
_OWN_KEYS: Final = frozenset({*_KINDS, *_OPTIONS})
NODE_KEYS: Final = frozenset({*_OWN_KEYS, *_CONTROL_READERS})
"""All keys of all kinds of nodes."""
_OWNERS: Final[Owners] = {
    **dict.fromkeys(("inputs", "config", "metadata", "state", "next", "cases", "body")),
    "retry": _RETRY,
    "on_error": _ON_ERROR,
    "artifact": _ARTIFACT,
}
KINDS: Final = tuple(_KINDS)
"""The keys of which a node has exactly one."""
TABLES: Final[Mapping[str, Mapping[str, Reader]]] = {
    "kind": {kind: reader for kind, (reader, _) in _KINDS.items()},
    "node": _OPTIONS,
    "control": _CONTROL_READERS,
    "retry": _RETRY,
    "on_error": _ON_ERROR,
    "artifact": _ARTIFACT,
    "step": _STEP,
}
"""Every table of this module, for descriptions of the format."""
