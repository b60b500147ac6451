"""Reads the template in a workflow document, with everything that is wrong with it. Pure."""

from collections.abc import Mapping
from typing import Final

import msgspec

from symphony.ports.values import Value
from symphony.workflow.documents.tree import Tree
from symphony.workflow.fields import Fields, Reader, choice, section, text, texts, whole
from symphony.workflow.model import NAME, InputSpec, Workflow
from symphony.workflow.problems import Findings, Problem, child, did_you_mean, shown
from symphony.workflow.schema import read_input
from symphony.workflow.templates.model import Parameter, WorkflowTemplate
from symphony.workflow.templates.patterns import refusal
from symphony.workflow.templates.places import (
    KEY,
    NOTHING,
    TEXTS,
    found_at,
    path_of,
    strings_in,
    without_template,
)
from symphony.workflow.templates.shell_text import filled, names_in

WIDGETS: Final = (
    "text", "multiline", "number", "slider", "checkbox", "select", "file", "folder", "list", "json"
)  # fmt: skip
"""The widgets that a template may ask a form for. A form may draw something else."""

_OF_TEMPLATE: Final = ("parameters",)
_OF_INPUT: Final = ("type", "enum", "default", "min", "max", "description")
_FURTHER: Final = (
    "pattern", "min_length", "max_length", "examples", "label", "group", "widget", "order", "sets"
)  # fmt: skip
_SETTABLE: Final[Mapping[str | int, int]] = {"nodes": 3, "outputs": 2, "edges": 2, "tags": 1, "env": 1}
"""The parts of a document that a parameter may set, each with the least number of keys in its place."""


def is_template(workflow: Workflow) -> bool:
    """True if the document declares to be a template."""
    return isinstance(workflow.metadata.get(KEY), dict)


def read_template(
    workflow: Workflow, tree: Mapping[str, Tree]
) -> tuple[WorkflowTemplate | None, tuple[Problem, ...]]:
    """Return the template that a sound workflow and its document are, or everything that is wrong with it."""
    findings = Findings()
    base = f"metadata.{KEY}"
    declared = workflow.metadata.get(KEY)
    if not isinstance(declared, dict):
        message = "the workflow is not a template: it has no map metadata.template"
        findings.add("missing-input", base, message, "write metadata: {template: {}}")
        return None, tuple(findings.found)
    for key in declared:
        if key not in _OF_TEMPLATE:
            hint = did_you_mean(key, _OF_TEMPLATE, f"it may have {', '.join(_OF_TEMPLATE)}")
            findings.add("unknown-key", child(base, key), f"a template has no key {shown(key)}", hint)
    if "steps" in tree:
        findings.add("type-mismatch", "steps", "a template has nodes, not steps", "write nodes:")
    more = declared.get("parameters", {})
    place = child(base, "parameters")
    if not isinstance(more, dict):
        findings.add("type-mismatch", place, "parameters must be a map", "write name: {type: string}")
        more = {}
    parameters = {name: Parameter(name=name, spec=spec, input=True) for name, spec in workflow.inputs.items()}
    for name, raw in more.items():
        at = child(place, name)
        if not NAME.fullmatch(name):
            findings.add("bad-name", at, f"{shown(name)} is not a name", "use letters, digits, _ and -")
        elif not isinstance(raw, dict):
            findings.add("type-mismatch", at, "a parameter must be a map", "write {type: string}")
        else:
            parameters[name] = _parameter(name, raw, workflow.inputs.get(name), at, findings)
    template = WorkflowTemplate(workflow, parameters, tree)
    _check_places(template, findings, place)
    _check_texts(template, findings)
    return (None if findings.found else template), tuple(findings.found)


def _parameter(
    name: str, raw: Mapping[str, Value], spec: InputSpec | None, place: str, findings: Findings
) -> Parameter:
    fields = Fields(literal=True)
    known = _FURTHER if spec is not None else (*_OF_INPUT, *_FURTHER)
    for key in raw:
        if key in _OF_INPUT and spec is not None:
            message = f"{key} is said by the input of this name already"
            findings.add("unknown-key", child(place, key), message, f"say it at inputs.{name}")
        elif key not in known:
            fields.unknown(key, place, known, "a parameter")
    own = (
        read_input(fields, {key: raw[key] for key in _OF_INPUT if key in raw}, place)
        if spec is None
        else spec
    )
    made = section(fields, {key: raw[key] for key in _FURTHER if key in raw}, place, _READERS, "a parameter")
    findings.extend(fields.findings.found)
    parameter = Parameter(name=name, spec=own, input=spec is not None, **made)  # type: ignore[arg-type]  # the readers give what the fields take
    if fields.findings.found:
        return parameter
    _check_parameter(parameter, place, findings)
    return parameter


def _check_parameter(parameter: Parameter, place: str, findings: Findings) -> None:
    low, high = parameter.min_length, parameter.max_length
    if low is not None and high is not None and low > high:
        findings.add(
            "type-mismatch", child(place, "min_length"), "it is more than max_length", "exchange them"
        )
    texts = {"string", "path", "any", "json"}
    element = parameter.spec.type.item if parameter.spec.type.kind == "list" else parameter.spec.type
    if parameter.pattern is not None and element is not None and element.kind not in texts:
        message = f"pattern is for texts, not for {parameter.spec.type}"
        findings.add("type-mismatch", child(place, "pattern"), message, "remove it")
    for at, example in enumerate(parameter.examples):
        if (why := parameter.wrong(example)) is not None:
            findings.add(
                "type-mismatch", child(child(place, "examples"), at), why, "give one that can be used"
            )
    default = parameter.spec.default
    if default is not msgspec.UNSET and default is not None and (why := parameter.wrong(default)) is not None:
        findings.add(
            "type-mismatch", child(place, "default"), f"the default does not fit: {why}", "change it"
        )


def _pattern(fields: Fields, tree: Tree, place: str, key: str) -> object:
    found = text(fields, tree, place, key)
    if not isinstance(found, str):
        return found
    if (why := refusal(found)) is not None:
        return fields.wrong(place, key, f"this is not a pattern: {why}", "write a regular expression")
    return found


def _length(fields: Fields, tree: Tree, place: str, key: str) -> object:
    found = whole(fields, tree, place, key)
    if isinstance(found, int) and found < 0:
        return fields.wrong(place, key, f"{key} cannot be negative", "write 0 or more")
    return found


def _examples(fields: Fields, tree: Tree, place: str, key: str) -> object:
    found = fields.value(tree, place, key)
    if isinstance(found, list):
        return tuple(found)
    return fields.wrong(place, key, "examples must be a list", "write examples: [first, second]")


def _places(fields: Fields, tree: Tree, place: str, key: str) -> object:
    return texts(fields, [tree] if isinstance(tree, str) else tree, place, key)


_READERS: Final[Mapping[str, Reader]] = {
    "pattern": _pattern,
    "min_length": _length,
    "max_length": _length,
    "examples": _examples,
    "label": text,
    "group": text,
    "widget": choice(*WIDGETS),
    "order": whole,
    "sets": _places,
}


def _check_places(template: WorkflowTemplate, findings: Findings, base: str) -> None:
    for parameter in template.parameters.values():
        for place in parameter.sets:
            at = child(child(base, parameter.name), "sets")
            path = path_of(place)
            if path is None or len(path) < _SETTABLE.get(path[0], len(path) + 1):
                hint = "write for instance nodes.tests.concurrency"
                findings.add("type-mismatch", at, f"{shown(place)} is not a place that can be set", hint)
            elif found_at(template.tree, path) is NOTHING:
                hint = "write a value there that is replaced"
                findings.add("type-mismatch", at, f"there is nothing at {place}", hint)


def _check_texts(template: WorkflowTemplate, findings: Findings) -> None:
    for place, found in strings_in(without_template(template.tree, ""), ""):
        names = names_in(found)
        if not names:
            continue
        if not TEXTS.fullmatch(place):
            if any(name in template.parameters for name in names):
                message = "a parameter cannot be named in this text"
                hint = "let it set this place (sets:), or make it an input and write ${{ inputs.NAME }}"
                findings.add("bad-expression", place, message, hint)
            continue
        for name in names:
            if name not in template.parameters:
                hint = did_you_mean(name, template.parameters, "declare it in metadata.template.parameters")
                findings.add("unknown-port", place, f"the template has no parameter {shown(name)}", hint)
        if place.endswith(".command"):
            try:
                filled(found, lambda _: "")
            except ValueError as error:
                findings.add("bad-expression", place, str(error), "move it, or make it an input of the node")
