"""The catalogue of what Symphony ships, as data: validation needs no operator code for it.

`builtin_catalog.json` lies beside this file; the kit regenerates it from its operators.
"""

import importlib.resources
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeVar

import msgspec

from symphony.ports.values import Value
from symphony.workflow.catalog import Catalog, ModelInfo, OperatorInfo, Port
from symphony.workflow.types import PortType, parse_type

FILE = "builtin_catalog.json"
_Info = TypeVar("_Info", OperatorInfo, ModelInfo)


@lru_cache(maxsize=1)
def builtin_catalog() -> Catalog:
    """Operators and models that come with Symphony. Read once per process."""
    return catalog_from_json(importlib.resources.files("symphony.workflow").joinpath(FILE).read_bytes())


def catalog_from_json(data: bytes) -> Catalog:
    """The catalogue that `catalog_to_json` wrote. Raises msgspec.ValidationError or ValueError."""
    document = msgspec.json.decode(data, type=dict[str, dict[str, dict[str, Value]]])
    operators = {name: _info(raw, OperatorInfo, name=name) for name, raw in document.get("operators", {}).items()}
    models = {name: _info(raw, ModelInfo, id=name) for name, raw in document.get("models", {}).items()}
    return Catalog(operators=operators, models=models)


def catalog_to_json(catalog: Catalog) -> bytes:
    """A catalogue as JSON: names sorted, types spelled as in workflow files, one line end at the end."""
    document = {
        "operators": {name: _spelled(catalog.operators[name]) for name in sorted(catalog.operators)},
        "models": {name: _spelled(catalog.models[name]) for name in sorted(catalog.models)},
    }
    return (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode()


def _info(raw: Mapping[str, Value], kind: type[_Info], **named: str) -> _Info:
    plain = {**raw, **named, "inputs": {}, "outputs": {}}
    ports = {side: {name: _port(port) for name, port in _map(raw.get(side)).items()} for side in ("inputs", "outputs")}
    return msgspec.structs.replace(msgspec.convert(plain, kind), **ports)


def _port(raw: Value) -> Port:
    port = _map(raw)
    default = port["default"] if "default" in port else msgspec.UNSET
    return Port(type=_type(port.get("type")), default=default, description=str(port.get("description", "")))


def _type(raw: Value) -> PortType:
    if isinstance(raw, dict):
        return msgspec.convert({"kind": "enum", "choices": raw.get("enum"), "optional": raw.get("optional", False)}, PortType)
    return parse_type(str(raw))


def _map(raw: Value) -> dict[str, Value]:
    return msgspec.convert(raw or {}, dict[str, Value])


def _spelled(info: OperatorInfo | ModelInfo) -> dict[str, Value]:
    if isinstance(info, OperatorInfo):
        head: dict[str, Value] = {"version": info.version, "effect": info.effect, "idempotent": info.idempotent}
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
