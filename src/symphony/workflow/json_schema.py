"""The file format as a JSON Schema (draft 2020-12), for editors. Pure.

Its keys, choices and patterns come from the tables and patterns that the reader uses; this module adds
what each key means. A schema cannot know names, types of ports or expressions: `symphony validate`
does.
"""

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

import msgspec

from symphony.commons.integers import INTEGER_MAX, INTEGER_MIN
from symphony.commons.quantities import DURATION
from symphony.workflow import fields, schema, schema_edges, schema_nodes
from symphony.workflow.catalog import Catalog, ModelInfo, OperatorInfo, Port
from symphony.workflow.fields import Choice, Reader
from symphony.workflow.json_schema_words import MEANINGS
from symphony.workflow.migrations import OLDEST
from symphony.workflow.model import NAME, SCHEMA_VERSION
from symphony.workflow.schema_usual import FAN_OUT_KEYS
from symphony.workflow.types import SCALARS

Schema: TypeAlias = dict[str, object]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

TABLES: Final[Mapping[str, Mapping[str, Reader]]] = {
    **schema.TABLES,
    **schema_nodes.TABLES,
    **schema_edges.TABLES,
}
_NAME: Final = f"^{NAME.pattern}$"
_END: Final = rf"^{NAME.pattern}(\.{NAME.pattern})?$"
_TYPE: Final = rf"^\s*((list|map)\[\s*)*({'|'.join(SCALARS)}|enum\[[^\[\]]+\])[\]?\s]*$"
_FILLED: Final[Schema] = {"type": "string", "pattern": r"\S"}
_TEXTS: Final[Schema] = {"type": "array", "items": {"type": "string"}}
_VALUES: Final[Schema] = {"type": "object", "propertyNames": {"pattern": _NAME}}
_NODE_NAME: Final[Schema] = {"pattern": _NAME, "not": {"enum": sorted(fields.RESERVED)}}
_NODES: Final[Schema] = {
    "type": "object",
    "minProperties": 1,
    "propertyNames": _NODE_NAME,
    "additionalProperties": {"$ref": "#/$defs/node"},
}
_ENUM: Final[Schema] = {**_TEXTS, "minItems": 1, "uniqueItems": True}

_READERS: Final[Mapping[Reader, Schema]] = {
    fields.text: {"type": "string"},
    fields.filled_text: _FILLED,
    fields.texts: _TEXTS,
    fields.condition: {"type": ["string", "boolean", "number"]},
    fields.boolean: {"type": "boolean"},
    fields.whole: {"type": "integer", "minimum": INTEGER_MIN, "maximum": INTEGER_MAX},
    fields.counted: {"type": "integer", "minimum": 1, "maximum": INTEGER_MAX},
    fields.duration: {"type": "string", "pattern": f"^{DURATION.pattern}$"},
    fields.semver: {"type": "string", "pattern": f"^{fields.SEMVER.pattern}$"},
    fields.free_values: {"type": "object"},
    fields.named_values: _VALUES,
}
"""The schemas of readers that many keys share."""

_SPECIAL: Final[Mapping[tuple[str, str], Schema]] = {
    ("workflow", "symphony"): {"enum": list(range(OLDEST, SCHEMA_VERSION + 1))},
    ("workflow", "name"): {"type": "string", "minLength": 1, "maxLength": schema.NAME_CHARS_MAX},
    ("workflow", "env"): {
        "type": "array",
        "items": {"type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_]*$"},
    },
    ("workflow", "operators"): {**_TEXTS, "maxItems": schema.OPERATOR_FILES_MAX},
    ("workflow", "inputs"): {
        "type": "object",
        "propertyNames": {"pattern": _NAME, "not": {"enum": sorted(fields.SCOPE_NAMES)}},
        "additionalProperties": {"$ref": "#/$defs/input"},
    },
    ("workflow", "nodes"): _NODES,
    ("workflow", "steps"): {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/step"}},
    ("workflow", "edges"): {"type": "array", "items": {"$ref": "#/$defs/edge"}},
    ("workflow", "outputs"): _VALUES,
    ("workflow", "budget"): {"$ref": "#/$defs/budget"},
    ("workflow", "on_finish"): {"$ref": "#/$defs/on_finish"},
    ("input", "type"): {
        "anyOf": [
            {"type": "string", "pattern": _TYPE},
            {"type": "object", "properties": {"enum": _ENUM}, "required": ["enum"], "maxProperties": 1},
        ]
    },
    ("input", "enum"): _ENUM,
    ("input", "default"): {},
    ("input", "min"): {"type": "number"},
    ("input", "max"): {"type": "number"},
    ("budget", "money"): {"type": "number", "minimum": 0},
    ("kind", "command"): _FILLED,
    ("artifact", "name"): _FILLED,
    ("artifact", "content_type"): _FILLED,
    ("step", "name"): {"type": "string", **_NODE_NAME},
    ("step", "needs"): {"type": "array", "items": {"type": "string", **_NODE_NAME}},
    ("step", "command"): _FILLED,
    ("node", "for_each"): {"type": ["string", "array"]},
    ("node", "after"): {"type": "array", "items": {"type": "string", "pattern": _END}},
    ("node", "retry"): {"$ref": "#/$defs/retry"},
    ("node", "on_error"): {"anyOf": [{"enum": ["fail", "skip"]}, {"$ref": "#/$defs/on_error"}]},
    ("node", "artifact"): {"$ref": "#/$defs/artifact"},
    ("node", "position"): {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
    ("control", "cases"): {**_VALUES, "minProperties": 1},
    ("control", "default"): {"type": "string", "pattern": _NAME},
    ("control", "body"): _NODES,
    ("on_error", "fallback"): {"type": "string", "pattern": _NAME},
    ("artifact", "port"): {"type": "string", "pattern": _NAME},
    ("edge", "from"): {"type": "string", "pattern": _END},
    ("edge", "to"): {"type": "string", "pattern": _END},
}
"""The schemas of readers of a single key."""


def json_schema(catalog: Catalog | None = None) -> Schema:
    """Return the schema of workflow files; with a catalogue, it names operators, models and their ports."""
    node = _node()
    if catalog is not None:
        _name_ports(node, catalog)
    definitions = {
        "node": node,
        "input": {**_object("input"), "not": {"required": ["type", "enum"]}},
        "budget": {**_object("budget"), "minProperties": 1},
        "on_finish": {**_object("on_finish"), "minProperties": 1, "maxProperties": 1},
        "retry": _object("retry"),
        "on_error": {**_object("on_error"), "minProperties": 1, "maxProperties": 1},
        "artifact": {**_object("artifact"), "required": ["name"]},
        "step": {**_object("step"), "required": ["name", "command"]},
        "edge": _edge(),
    }
    return {
        "$schema": DIALECT,
        "title": "Symphony workflow",
        "description": f"A workflow file of Symphony, version {SCHEMA_VERSION} of the format.",
        **_object("workflow"),
        "required": ["name"],
        "oneOf": [{"required": ["nodes"]}, {"required": ["steps"]}],
        "$defs": definitions,
    }


def _object(table: str) -> Schema:
    properties = _properties(table)
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _properties(table: str) -> Schema:
    """Return a schema for each key of a table: what it accepts and what it means."""
    return {
        key: {"description": MEANINGS[table, key], **_accepted(table, key, reader)}
        for key, reader in TABLES[table].items()
    }


def _accepted(table: str, key: str, reader: Reader) -> Schema:
    special = _SPECIAL.get((table, key))
    if special is not None:
        return special
    if isinstance(reader, Choice):
        return {"enum": list(reader.choices)}
    assert reader in _READERS, f"say what {table}.{key} accepts"
    return _READERS[reader]


def _node() -> Schema:
    kinds = schema_nodes.KINDS
    properties = {**_properties("kind"), **_properties("node"), **_properties("control")}
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "oneOf": [{"required": [kind]} for kind in kinds],
        "dependentRequired": {
            **{key: ["for_each"] for key in sorted(FAN_OUT_KEYS)},
            "switch": ["cases"],
            "cases": ["switch"],
            "default": ["switch"],
        },
        "allOf": [_control_rule(kind, own) for kind, own in schema_nodes.CONTROL_KEYS.items()]
        + [{"if": {"not": {"required": ["control"]}}, "then": _without(TABLES["control"])}],
    }


def _control_rule(kind: str, own: tuple[str, ...]) -> Schema:
    """Return the rule for one kind of control node: which keys it may have, and which it must have."""
    then = _without(key for key in TABLES["control"] if key not in own)
    pair = schema_nodes.ALTERNATIVES.get(kind)
    if pair is not None:
        then["oneOf"] = [{"required": [key]} for key in pair]
    if kind == "loop":
        then["required"] = ["body"]
    return {"if": {"properties": {"control": {"const": kind}}, "required": ["control"]}, "then": then}


def _without(keys: Iterable[str]) -> Schema:
    """Return a rule that none of these keys is present."""
    return {"properties": dict.fromkeys(keys, False)}


def _edge() -> Schema:
    conditional: Schema = {
        "if": {"required": ["when"]},
        "then": {
            "properties": {
                "from": {"pattern": _NAME},
                "to": {"pattern": _NAME},
                "transform": False,
                "priority": False,
            }
        },
        "else": _without(["label"]),
    }
    return {**_object("edge"), "required": ["from", "to"], **conditional}


def _name_ports(node: Schema, catalog: Catalog) -> None:
    """Add the names of the catalogue to the description of a node, and the ports of each."""
    properties, rules = node["properties"], node["allOf"]
    assert isinstance(properties, dict)
    assert isinstance(rules, list)
    named_by: tuple[tuple[str, Mapping[str, OperatorInfo | ModelInfo]], ...] = (
        ("operator", catalog.operators),
        ("instrument", catalog.models),
    )
    for kind, known in named_by:
        properties[kind] = {**properties[kind], "examples": sorted(known)}
        for name, info in sorted(known.items()):
            ports = {port: _port(about) for port, about in info.inputs.items()}
            named = {"anyOf": [{"const": name}, {"type": "string", "pattern": f"^{_literal(name)}@"}]}
            about = {"description": info.summary, "properties": ports, "additionalProperties": False}
            rules.append(
                {
                    "if": {"properties": {kind: named}, "required": [kind]},
                    "then": {"properties": {"inputs": about}},
                }
            )


def _literal(name: str) -> str:
    """Return `name` in a pattern that JavaScript and Python read alike."""
    return "".join(char if char.isalnum() or char in "_-" else f"[{char}]" for char in name)


def _port(port: Port) -> Schema:
    out: Schema = {"description": f"{port.type}{': ' if port.description else ''}{port.description}"}
    if port.default is not msgspec.UNSET and not isinstance(port.default, bytes):
        out["default"] = port.default
    return out
