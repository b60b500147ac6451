"""The kit's catalogue as JSON, for validation without the kit.

    python -m symphony.kit.catalog_data            prints it
    python -m symphony.kit.catalog_data --write    rewrites symphony/workflow/builtin_catalog.json

`{"operators": {NAME: {version, effect, idempotent, summary, help, inputs, outputs}},
"models": {ID: {version, provider, summary, inputs, outputs}}}`; a port is
`{type, default?, description?}`, its type spelled as in workflow files.
"""

import importlib.resources
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from symphony.kit import catalog
from symphony.ports.values import Value
from symphony.workflow.catalog import ModelInfo, OperatorInfo, Port
from symphony.workflow.types import PortType

FILE = "builtin_catalog.json"


def catalog_json() -> str:
    """The text of the file, ending with a line end; the same for the same kit."""
    found = catalog()
    document: dict[str, Value] = {
        "operators": {name: _operator(info) for name, info in sorted(found.operators.items())},
        "models": {name: _model(info) for name, info in sorted(found.models.items())},
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _operator(info: OperatorInfo) -> Value:
    return {
        "version": info.version,
        "effect": info.effect,
        "idempotent": info.idempotent,
        "summary": info.summary,
        "help": info.help,
        "inputs": _ports(info.inputs),
        "outputs": _ports(info.outputs),
    }


def _model(info: ModelInfo) -> Value:
    return {
        "version": info.version,
        "provider": info.provider,
        "summary": info.summary,
        "inputs": _ports(info.inputs),
        "outputs": _ports(info.outputs),
    }


def _ports(ports: Mapping[str, Port]) -> Value:
    return {name: _port(port) for name, port in ports.items()}


def _port(port: Port) -> Value:
    spelled: dict[str, Value] = {"type": _type(port.type)}
    if port.default is not msgspec.UNSET:
        spelled["default"] = port.default
    if port.description:
        spelled["description"] = port.description
    return spelled


def _type(kind: PortType) -> Value:
    if kind.kind != "enum":
        return str(kind)
    assert not kind.optional, "workflow files cannot spell an optional enum"
    return {"enum": list(kind.choices)}


def main(arguments: list[str]) -> int:
    """Print or write the catalogue; the exit status."""
    if arguments not in ([], ["--write"]):
        sys.stderr.write("usage: python -m symphony.kit.catalog_data [--write]\n")
        return 2
    text = catalog_json()
    if arguments:
        Path(str(importlib.resources.files("symphony.workflow") / FILE)).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
