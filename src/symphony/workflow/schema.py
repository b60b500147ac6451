"""Reads a tree into a `Workflow`, best effort, with every structural problem at its place. Pure.

To add a key: a field in `model`, a line in the table of readers here (or in `schema_nodes`,
`schema_edges`), a line in `spelling`, what it means in `json_schema`, and in `versions` the version
that it came with. All formats then carry it, Bincode too, and editors learn it from the published JSON
Schema. A test fails if a step is forgotten.
"""

from collections.abc import Collection, Mapping
from typing import Final

import msgspec

from symphony.ports.values import Value
from symphony.workflow.documents.tree import Tree
from symphony.workflow.fields import (
    BAD,
    SCOPE_NAMES,
    Fields,
    Owners,
    Reader,
    counted,
    filled_text,
    free_values,
    named_values,
    section,
    semver,
    text,
    texts,
)
from symphony.workflow.foreign import reported_as_foreign
from symphony.workflow.inputs import beyond
from symphony.workflow.migrations import migrated, version_of, wanted
from symphony.workflow.model import Budget, ControlNode, InputSpec, Node, OnFinish, Workflow
from symphony.workflow.problems import child, shown
from symphony.workflow.schema_edges import read_edges
from symphony.workflow.schema_nodes import KINDS, read_nodes, read_steps
from symphony.workflow.types import SCALARS, PortType, mismatch, parse_type

NAME_CHARS_MAX: Final = 100
OPERATOR_FILES_MAX: Final = 100
_UNNAMED: Final = "unnamed"


def read_tree(tree: Tree, fields: Fields, *, connected: Collection[str] = ()) -> Workflow | None:
    """Return the workflow in `tree`; None if `tree` is not a workflow at all. What is wrong goes to `fields`.

    `connected` names nodes that get edges from elsewhere.
    """
    found = fields.map(tree, "", "", "a workflow")
    if found is not None and not _READERS.keys() >= found.keys() and reported_as_foreign(found, fields):
        return None
    document = None if found is None else _of_this_version(found, fields)
    if document is None:
        return None
    fields.depth = 2
    if not _READERS.keys() >= document.keys():
        from symphony.workflow.misplaced import regrouped

        document = regrouped(document, _READERS, _OWNERS, KINDS, fields, "")
    made = section(fields, document, "", _READERS, "a workflow")
    made["nodes"] = nodes = _nodes(document, fields)
    if nodes is None:
        return None
    if "name" not in document:
        hint = "add name: and any text of 1 to 100 characters"
        fields.findings.add("missing-input", "name", "the workflow has no name", hint)
    made.setdefault("name", _UNNAMED)
    for key in ("symphony", "steps"):
        made.pop(key, None)
    workflow = Workflow(**made)  # type: ignore[arg-type]  # the readers give what the fields take
    _check_merges(workflow, fields, {*connected, *(edge.target for edge in workflow.edges)})
    return workflow


def _of_this_version(document: dict[str, Tree], fields: Fields) -> dict[str, Tree] | None:
    """Return the document, migrated if it is older; None if its version is unknown, as nothing else
    could be checked.
    """
    found = migrated(document)
    if found is None:
        version = version_of(document)
        message = f"version {shown(version)} of the workflow schema is not supported"
        fields.findings.add("unsupported-schema", "symphony", message, wanted(version))
    return found


def _nodes(document: Mapping[str, Tree], fields: Fields) -> dict[str, Node] | None:
    if "steps" in document:
        if "nodes" in document:
            message, hint = (
                "steps stand in place of nodes, not beside them",
                "make each step a node with command:",
            )
            fields.wrong("", "steps", message, hint)
            return read_nodes(document["nodes"], "nodes", fields)
        return read_steps(document["steps"], fields)
    if "nodes" not in document or document["nodes"] in ({}, None):
        fields.findings.add(
            "missing-input", "nodes", "the workflow has no nodes", "add at least one below nodes:"
        )
        return {}
    return read_nodes(document["nodes"], "nodes", fields)


def _check_merges(workflow: Workflow, fields: Fields, targets: set[str]) -> None:
    """A merge without candidates would never run."""
    for name, node in workflow.nodes.items():
        if (
            isinstance(node, ControlNode)
            and node.control == "merge"
            and not node.after
            and name not in targets
        ):
            hint = "list the nodes to choose from: after: [a, b]"
            fields.findings.add("missing-input", f"nodes.{name}", "the merge has no candidates", hint)


def _nothing(_fields: Fields, _tree: Tree, _place: str, _key: str) -> object:
    """Return `BAD`, without a report, for keys that are read elsewhere."""
    return BAD


def _name(fields: Fields, tree: Tree, place: str, key: str) -> object:
    found = text(fields, tree, place, key)
    if isinstance(found, str) and not 1 <= len(found) <= NAME_CHARS_MAX:
        message = f"a name has 1 to {NAME_CHARS_MAX} characters, this one {len(found)}"
        return fields.wrong(place, key, message, "say more in description:" if found else "give it a name")
    return found


def _env(fields: Fields, tree: Tree, place: str, key: str) -> object:
    """Read the names of environment variables that expressions may read."""
    names = texts(fields, tree, place, key)
    if not isinstance(names, tuple):
        return BAD
    for i, name in enumerate(names):
        if not (name.isascii() and name.isidentifier() and len(name) <= NAME_CHARS_MAX):
            hint = "list names of letters, digits and _"
            fields.findings.add("bad-name", child(key, i), f"{shown(name)} is not a name of a variable", hint)
    return names


def _operators(fields: Fields, tree: Tree, place: str, key: str) -> object:
    """Read the names of Python files that define operators."""
    files = texts(fields, tree, place, key)
    if isinstance(tree, str):
        return (tree,)  # reported already, and the intention is clear
    if isinstance(files, tuple) and len(files) > OPERATOR_FILES_MAX:
        message = f"there are {len(files):,} files of operators, at most {OPERATOR_FILES_MAX} are allowed"
        fields.findings.add("limit-exceeded", key, message, "put several operators into one file")
        return BAD
    return files


def _outputs(fields: Fields, tree: Tree, place: str, key: str) -> object:
    fields.depth -= 1
    found = named_values(fields, tree, place, key)
    fields.depth += 1
    return found


def _inputs(fields: Fields, tree: Tree, place: str, key: str) -> object:
    found = fields.map(tree, place, key, key)
    if found is None:
        return BAD
    if not _INPUT_READERS.keys().isdisjoint(found):
        from symphony.workflow.misplaced import regrouped_inputs

        found = regrouped_inputs(found, _INPUT_READERS, fields, key)
    inputs: dict[str, InputSpec] = {}
    for name, raw in found.items():
        if not fields.legal(name, key):
            continue
        at = child(key, name)
        if name in SCOPE_NAMES:
            message = f"{name} has a meaning of its own in expressions"
            fields.findings.add("reserved-name", at, message, f"choose another name, such as {name}_")
        spec = fields.map(raw, key, name, "an input", "" if type(raw) is dict else _input_hint(name, raw))
        inputs[name] = InputSpec() if spec is None else read_input(fields, spec, at)
    return inputs


def _input_hint(name: str, tree: Tree) -> str:
    from symphony.workflow.remedies import input_hint  # only where something is wrong

    return input_hint(name, tree, (*SCALARS, "list", "map"))


def read_input(fields: Fields, tree: Mapping[str, Tree], place: str) -> InputSpec:
    """Read one input of a workflow, leaving out what is wrong."""
    fields.depth += 1
    made = section(fields, tree, place, _INPUT_READERS, "an input")
    fields.depth -= 1
    choices = made.pop("enum", None)
    if "enum" in tree and "type" in tree:
        message = "enum replaces type; a port cannot have both"
        fields.wrong(place, "enum", message, "remove type:")
    if isinstance(choices, PortType):
        made["type"] = choices
    spec = InputSpec(**made)  # type: ignore[arg-type]  # the readers give what the fields take
    sound = "type" in made or not ("type" in tree or "enum" in tree)
    return _fitting(fields, spec, place) if sound else spec


def _fitting(fields: Fields, spec: InputSpec, place: str) -> InputSpec:
    """Return `spec` after checking its bounds and its default against its type."""
    for key, bound in (("min", spec.min), ("max", spec.max)):
        if bound is not None and spec.type.kind not in ("integer", "number", "any", "json"):
            fields.wrong(place, key, f"{key} is for numbers, not for {spec.type}", f"remove {key}:")
    if spec.min is not None and spec.max is not None and spec.min > spec.max:
        fields.wrong(place, "min", f"min is {spec.min}, more than max, {spec.max}", "exchange them")
    if isinstance(spec.default, msgspec.UnsetType):
        return spec
    why = mismatch(spec.default, spec.type) or beyond(spec.default, spec)
    if why is not None:
        fields.wrong(
            place, "default", f"the default does not fit: {why}", f"give it a value of type {spec.type}"
        )
    return spec


def _type(fields: Fields, tree: Tree, place: str, key: str) -> object:
    if isinstance(tree, dict) and set(tree) == {"enum"}:
        return _enum(fields, tree["enum"], child(place, key), "enum")
    if not isinstance(tree, str):
        hint = "write a type such as string or list[integer]"
        return fields.wrong(place, key, f"type must be text, not {shown(tree)}", hint)
    try:
        return parse_type(tree)
    except ValueError as error:
        message, found, meant = str(error).partition(": did you mean ")
        hint = "write a type such as string, integer? or list[number]"
        return fields.wrong(
            place, key, message if found else str(error), found[2:] + meant if found else hint
        )


def _enum(fields: Fields, tree: Tree, place: str, key: str) -> object:
    choices = texts(fields, tree, place, key)
    if not isinstance(choices, tuple):
        return BAD
    if not choices:
        return fields.wrong(place, key, "enum lists no choice", "write enum: [a, b]")
    for i, one in enumerate(choices):
        if one in choices[:i]:
            fields.findings.add(
                "duplicate-name", child(child(place, key), i), f"duplicate {shown(one)}", "remove one"
            )
            break
    return PortType("enum", choices=tuple(dict.fromkeys(choices)))


def _bound(fields: Fields, tree: Tree, place: str, key: str) -> object:
    found = fields.value(tree, place, key)
    if isinstance(found, int | float) and not isinstance(found, bool):
        return found
    if found is None and tree is not None:
        return BAD  # already reported
    return fields.wrong(place, key, f"{key} must be a number, not {shown(tree)}", "write a number")


def _default(fields: Fields, tree: Tree, place: str, key: str) -> object:
    before = len(fields.findings.found)
    found: Value = fields.value(tree, place, key)
    return BAD if len(fields.findings.found) > before else found


def _budget(fields: Fields, tree: Tree, place: str, key: str) -> object:
    found = fields.map(tree, place, key, key)
    if found is None:
        return BAD
    if not found:
        return fields.wrong(
            place, key, "the budget limits nothing", "write at least one of its keys, or remove it"
        )
    return Budget(**section(fields, found, key, _BUDGET_READERS, key))  # type: ignore[arg-type]  # as above


def _on_finish(fields: Fields, tree: Tree, place: str, key: str) -> object:
    hint = "write on_finish: {command: …} or on_finish: {url: …}"
    found = fields.map(tree, place, key, key, "" if isinstance(tree, str) else hint)
    if found is None:
        return BAD
    known = [one for one in _FINISH_READERS if one in found]
    made = section(fields, found, key, _FINISH_READERS, key)
    if len(known) != 1 and (known or not found):
        what = "on_finish says both command and url" if known else "on_finish says neither command nor url"
        return fields.wrong(place, key, what, hint)
    return OnFinish(**made) if made else BAD  # type: ignore[arg-type]  # as above


def _money(fields: Fields, tree: Tree, place: str, key: str) -> object:
    found = _bound(fields, tree, place, key)
    if isinstance(found, int | float) and found < 0:
        return fields.wrong(
            place, key, f"{key} must be at least 0, not {found}", "write an amount such as 0.50"
        )
    return found


def _edges(fields: Fields, tree: Tree, _place: str, _key: str) -> object:
    return read_edges(tree, fields)


_READERS: Final[Mapping[str, Reader]] = {
    "symphony": _nothing,
    "name": _name,
    "version": semver,
    "description": text,
    "tags": texts,
    "env": _env,
    "operators": _operators,
    "inputs": _inputs,
    "nodes": _nothing,
    "steps": _nothing,
    "edges": _edges,
    "outputs": _outputs,
    "budget": _budget,
    "on_finish": _on_finish,
    "metadata": free_values,
}
_BUDGET_READERS: Final[Mapping[str, Reader]] = {"money": _money, "tokens": counted, "calls": counted}
_FINISH_READERS: Final[Mapping[str, Reader]] = {"command": filled_text, "url": filled_text}
_INPUT_READERS: Final[Mapping[str, Reader]] = {
    "type": _type,
    "enum": _enum,
    "default": _default,
    "min": _bound,
    "max": _bound,
    "description": text,
}
_OWNERS: Final[Owners] = {
    **dict.fromkeys(("inputs", "nodes", "outputs", "metadata")),
    "budget": _BUDGET_READERS,
    "on_finish": _FINISH_READERS,
}
TABLES: Final[Mapping[str, Mapping[str, Reader]]] = {
    "workflow": _READERS,
    "input": _INPUT_READERS,
    "budget": _BUDGET_READERS,
    "on_finish": _FINISH_READERS,
}
"""Every table of this module, for descriptions of the format."""
