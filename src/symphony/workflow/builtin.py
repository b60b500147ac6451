"""The catalogue of what ships with Symphony, as data. Validation needs no operator code.

`builtin_catalog.json` lies beside this file; the kit regenerates it from its operators.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

import msgspec

from symphony.ports.values import Value
from symphony.workflow.catalog import Catalog, ModelInfo, OperatorInfo, Port
from symphony.workflow.documents.tree import DEPTH_MAX
from symphony.workflow.problems import Findings
from symphony.workflow.types import PortType, parse_port_type
from symphony.workflow.values import value_of

FILE = "builtin_catalog.json"


@lru_cache(maxsize=1)
def builtin_catalog() -> Catalog:
    """Return the operators and models that ship with Symphony. They are read once per process."""
    return catalog_from_json(Path(__file__).with_name(FILE).read_bytes())


def catalog_from_json(data: bytes) -> Catalog:
    """Return the catalogue that `catalog_to_json` wrote. Raises msgspec.ValidationError or ValueError."""
    document = msgspec.json.decode(data, type=dict[str, dict[str, dict[str, object]]])
    operators = {name: _operator(name, raw) for name, raw in document.get("operators", {}).items()}
    models = {name: _model(name, raw) for name, raw in document.get("models", {}).items()}
    return Catalog(operators=operators, models=models)


def catalog_to_json(catalog: Catalog) -> bytes:
    """Return a catalogue as JSON: names sorted, types spelled as in workflow files, a newline at the end."""
    import json  # commands only read this file

    document = {
        "operators": {name: _spelled(catalog.operators[name]) for name in sorted(catalog.operators)},
        "models": {name: _spelled(catalog.models[name]) for name in sorted(catalog.models)},
    }
    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()


def _operator(name: str, raw: Mapping[str, object]) -> OperatorInfo:
    effect: Literal["pure", "read", "write"] = "write"
    match raw.get("effect"):
        case "pure":
            effect = "pure"
        case "read":
            effect = "read"
    return OperatorInfo(
        name=name,
        version=str(raw["version"]),
        effect=effect,
        idempotent=bool(raw.get("idempotent")),
        summary=str(raw.get("summary", "")),
        help=str(raw.get("help", "")),
        inputs=_read_ports(raw.get("inputs")),
        outputs=_read_ports(raw.get("outputs")),
    )


def _model(name: str, raw: Mapping[str, object]) -> ModelInfo:
    return ModelInfo(
        id=name,
        version=str(raw["version"]),
        provider=str(raw.get("provider", "local")),
        summary=str(raw.get("summary", "")),
        inputs=_read_ports(raw.get("inputs")),
        outputs=_read_ports(raw.get("outputs")),
    )


def _read_ports(raw: object) -> dict[str, Port]:
    return {name: _port(port) for name, port in _map(raw).items()}


def _port(raw: object) -> Port:
    port = _map(raw)
    findings = Findings()
    default = value_of(port["default"], "", findings, DEPTH_MAX) if "default" in port else msgspec.UNSET
    if findings.found:
        raise ValueError(findings.found[0].message)
    return Port(type=_type(port.get("type")), default=default, description=str(port.get("description", "")))


def _type(raw: object) -> PortType:
    if isinstance(raw, dict):
        choices = raw.get("enum")
        assert isinstance(choices, list)
        return PortType("enum", choices=tuple(map(str, choices)), optional=bool(raw.get("optional")))
    return parse_port_type(str(raw))


def _map(raw: object) -> dict[str, object]:
    return {str(key): item for key, item in raw.items()} if isinstance(raw, dict) else {}


def _spelled(info: OperatorInfo | ModelInfo) -> dict[str, Value]:
    if isinstance(info, OperatorInfo):
        head: dict[str, Value] = {
            "version": info.version,
            "effect": info.effect,
            "idempotent": info.idempotent,
        }
        head |= {"summary": info.summary, "help": info.help}
    else:
        head = {"version": info.version, "provider": info.provider, "summary": info.summary}
    return {**head, "inputs": _ports(info.inputs), "outputs": _ports(info.outputs)}


def _ports(ports: Mapping[str, Port]) -> dict[str, Value]:
    spelled: dict[str, Value] = {}
    for name, port in ports.items():
        one: dict[str, Value] = {"type": _type_spelled(port.type)}
        if port.default is not msgspec.UNSET:
            one["default"] = port.default
        if port.description:
            one["description"] = port.description
        spelled[name] = one
    return spelled


def _type_spelled(kind: PortType) -> Value:
    if kind.kind != "enum":
        return str(kind)
    enum: dict[str, Value] = {"enum": list(kind.choices)}
    return {**enum, "optional": True} if kind.optional else enum
