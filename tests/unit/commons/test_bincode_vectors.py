"""Bytes made by Rust's bincode 1.3 are those that we make, and are read back: see tests/data/bincode."""

import enum
import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from symphony.commons.bincode import F32, I8, I16, I32, U8, U16, U32, U64, Nanoseconds, Plain, TypeCodec
from symphony.workflow.documents import bincode_data

DATA = Path(__file__).parents[2] / "data" / "bincode"
CASES = json.loads((DATA / "cases.json").read_text(encoding="utf-8"))
VECTORS: dict[str, str] = json.loads((DATA / "vectors.json").read_text(encoding="utf-8"))


class Numbers(msgspec.Struct):
    flag: bool
    unsigned: tuple[U8, U16, U32, U64]
    signed: tuple[I8, I16, I32, int]
    single: F32
    double: float
    pairs: list[tuple[int, str]]
    table: dict[str, list[bool]]


class Priority(enum.Enum):
    LOW = "Low"
    USUAL = "Usual"
    HIGH = "High"


class Hub(msgspec.Struct): ...


class Extension(msgspec.Struct):
    name: str
    instance: U32


class Topic(msgspec.Struct):
    topic: str


class Request(msgspec.Struct):
    method: str
    params: Plain


class Response(msgspec.Struct):
    status: U16
    body: Plain


class Event(msgspec.Struct):
    data: bytes
    headers: dict[str, str]


class Failure(msgspec.Struct):
    code: I32
    message: str
    cause: "Request | Response | Event | Failure | None"


class Envelope(msgspec.Struct):
    id: UUID
    answers: UUID | None
    sent_at: Nanoseconds
    patience: Nanoseconds | None
    priority: Priority
    source: Hub | Extension | Topic
    target: Hub | Extension | Topic
    payload: Request | Response | Event | Failure


def plain(case: object) -> object:
    """A plain value from serde's JSON: `"Null"`, or a map of one variant."""
    if case == "Null":
        return None
    assert isinstance(case, dict)
    [(variant, inside)] = case.items()
    match variant:
        case "Bytes":
            return bytes(inside)
        case "Double":
            return float(inside)
        case "List":
            return [plain(item) for item in inside]
        case "Map":
            return plain_map(inside)
    return inside


def plain_map(case: dict[str, object]) -> dict[str, object]:
    return {key: plain(item) for key, item in case.items()}


def document(case: dict[str, object]) -> dict[str, object]:
    """The tree of a workflow document."""
    nodes: dict[str, object] = {}
    assert isinstance(case["nodes"], dict)
    for name, node in case["nodes"].items():
        [(kind, doing)] = node.items()
        nodes[name] = {kind.lower(): doing["what"], **plain_map(doing["more"] or {})}
        if doing["inputs"] is not None:
            nodes[name]["inputs"] = plain_map(doing["inputs"])
    assert isinstance(case["more"], dict)
    return {**case, "nodes": nodes, **plain_map(case["more"])} | {"more": None}


def numbers(case: dict[str, object]) -> Numbers:
    return msgspec.convert(case, Numbers)


def nanoseconds(case: dict[str, int]) -> int:
    seconds, rest = case.values()
    return seconds * 1_000_000_000 + rest


def endpoint(case: object) -> Hub | Extension | Topic:
    if case == "Hub":
        return Hub()
    assert isinstance(case, dict)
    [(variant, inside)] = case.items()
    return {"Extension": Extension, "Topic": Topic}[variant](**inside)


def payload(case: dict[str, dict[str, object]]) -> Request | Response | Event | Failure:
    [(variant, inside)] = case.items()
    match variant:
        case "Request":
            return Request(str(inside["method"]), plain(inside["params"]))
        case "Response":
            return Response(int(str(inside["status"])), plain(inside["body"]))
        case "Event":
            return msgspec.convert({**inside, "data": bytes(inside["data"])}, Event)  # type: ignore[arg-type]
    cause = inside["cause"]
    return Failure(**{**inside, "cause": cause and payload(cause)})  # type: ignore[arg-type]


def envelope(case: dict[str, object]) -> Envelope:
    return Envelope(
        id=UUID(str(case["id"])),
        answers=None if case["answers"] is None else UUID(str(case["answers"])),
        sent_at=nanoseconds(case["sent_at"]),  # type: ignore[arg-type]
        patience=case["patience"] and nanoseconds(case["patience"]),  # type: ignore[arg-type]
        priority=Priority(case["priority"]),
        source=endpoint(case["source"]),
        target=endpoint(case["target"]),
        payload=payload(case["payload"]),  # type: ignore[arg-type]
    )


TYPES: dict[str, tuple[object, Callable[..., object]]] = {
    "values": (Plain, plain),
    "numbers": (Numbers, numbers),
    "envelopes": (Envelope, envelope),
}


@pytest.mark.parametrize("name", [name for name in VECTORS if not name.startswith("documents/")])
def test_the_bytes_are_those_of_rust(name: str) -> None:
    group, _, case = name.partition("/")
    hint, make = TYPES[group]
    value, codec = make(CASES[group][case]), TypeCodec[object](hint)
    assert codec.encode(value).hex() == VECTORS[name]
    back = codec.decode(bytes.fromhex(VECTORS[name]))
    assert back == value
    assert codec.encode(back).hex() == VECTORS[name]  # 1 and 1.0 are equal, but not the same


@pytest.mark.parametrize("name", [name for name in VECTORS if name.startswith("documents/")])
def test_the_bytes_of_workflows_are_those_of_rust(name: str) -> None:
    tree = document(CASES["documents"][name.partition("/")[2]])
    del tree["more"]
    assert bincode_data.write(tree).hex() == VECTORS[name]
    assert bincode_data.parse(bytes.fromhex(VECTORS[name])).tree == tree


def test_every_case_has_its_vector() -> None:
    assert {f"{group}/{name}" for group, cases in CASES.items() for name in cases} == VECTORS.keys()
