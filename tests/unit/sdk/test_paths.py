"""Where paths stand in a value, as its annotation says."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, Optional, TypedDict, Union

import msgspec
import pytest

from symphony.ports.values import Value
from symphony.sdk.paths import PathsUnknown, path_finder
from symphony.workflow.types import PortType, parse_type

Config = NewType("Config", Path)
Files: object = dict[str, list[Path]]


class Pair(TypedDict):
    left: Path
    right: NotRequired[list[Path]]
    note: str


class Row(NamedTuple):
    name: str
    file: Path = Path("row.txt")


@dataclass
class Source:
    file: Path
    extra: list[Path] = field(default_factory=list)
    fallback: Path | None = Path("fallback.txt")


class Box(msgspec.Struct, rename="camel"):
    main_file: Path
    pair: Pair | None = None
    spare: Path = Path("spare.txt")


class Tree(TypedDict):
    file: Path
    children: "list[Tree]"


class Chain(TypedDict):
    text: str
    next: "Chain | None"


@dataclass
class Made:
    files: list[Path] = field(default_factory=lambda: [Path("made.txt")])


class Lost(TypedDict):
    what: "Nowhere"  # type: ignore[name-defined]  # noqa: F821


CASES: list[tuple[object, Value, list[str]]] = [
    (Path, "a", ["a"]),
    (PurePath, "a", ["a"]),
    (Path | None, None, []),
    (Optional[Path], "a", ["a"]),  # noqa: UP045
    (Config, "a", ["a"]),
    (list[Config], ["a"], ["a"]),
    (Annotated[Path, "a note"], "a", ["a"]),
    (Annotated[str, PortType("path")], "a", ["a"]),
    (Annotated[Pair, PortType("json")], {"left": "a", "note": "n"}, ["a"]),
    (list[Path], ["a", "b", "a"], ["a", "b", "a"]),
    (Sequence[Path | None], ["a", None], ["a"]),
    (list[list[Path]], [["a"], [], ["b"]], ["a", "b"]),
    (dict[str, Path], {"x": "a", "y": "b"}, ["a", "b"]),
    (Mapping[str, list[Path]], {"x": ["a"], "y": ["b"]}, ["a", "b"]),
    (Files, {"x": ["a"]}, ["a"]),
    (tuple[Path, ...], ["a", "b"], ["a", "b"]),
    (tuple[str, Path, int], ["n", "a", 1], ["a"]),
    (list[tuple[str, Path]], [["n", "a"], ["m", "b"]], ["a", "b"]),
    (list[Path] | Path, "a", ["a"]),
    (list[Path] | Path, ["a", "b"], ["a", "b"]),
    (Union[str, Path], "a", ["a"]),  # noqa: UP007
    (int | Path, 5, []),
    (int | Path, "a", ["a"]),
    (bytes | list[Path], b"raw", []),
    (Literal["auto"] | Path, "auto", []),
    (Literal["auto"] | Path, "a", ["a"]),
    (Pair, {"left": "a", "note": "n"}, ["a"]),
    (Pair, {"left": "a", "right": ["b"], "note": "n"}, ["a", "b"]),
    (list[Pair], [{"left": "a", "note": "n"}], ["a"]),
    (Row, {"name": "n", "file": "a"}, ["a"]),
    (Row, {"name": "n"}, ["row.txt"]),
    (list[Row], [["n", "a"]], ["a"]),
    (Source, {"file": "a"}, ["a", "fallback.txt"]),
    (Source, {"file": "a", "extra": ["b"], "fallback": None}, ["a", "b"]),
    (Box, {"mainFile": "a"}, ["a", "spare.txt"]),
    (Box, {"main_file": "a", "pair": {"left": "b", "note": ""}, "spare": "c"}, ["a", "b", "c"]),
    (Tree, {"file": "a", "children": [{"file": "b", "children": []}]}, ["a", "b"]),
    (list[list[PurePosixPath]], [["a"]], ["a"]),
    (os.PathLike[str], "a", ["a"]),
    (parse_type("map[list[path]]?"), {"x": ["a"]}, ["a"]),
]  # fmt: skip


@pytest.mark.parametrize(("annotation", "value", "expected"), CASES)
def test_paths_are_found_wherever_the_type_allows_one(
    annotation: object, value: Value, expected: list[str]
) -> None:
    find = path_finder(annotation)
    assert find is not None
    assert list(find(value)) == expected


@pytest.mark.parametrize(
    "annotation",
    [str, int, Any, object, Value, list[str], dict[str, Value], list[Value] | None, Literal["a"], Chain,
     parse_type("list[string]"), Annotated[Value, PortType("json")]],
)  # fmt: skip
def test_types_without_paths_are_not_looked_into(annotation: object) -> None:
    assert path_finder(annotation) is None


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Path, {"not": "a path"}),
        (list[Path], "a"),
        (list[Path] | dict[str, Path], "a"),
        (Source, ["a", "b"]),
        (Made, {}),
        (Lost, {"what": "a"}),
    ],
)
def test_a_value_that_does_not_show_where_its_paths_are_is_unknown(annotation: object, value: Value) -> None:
    find = path_finder(annotation)
    assert find is not None
    with pytest.raises(PathsUnknown):
        list(find(value))


def test_a_null_holds_no_path() -> None:
    for annotation, _, _ in CASES:
        find = path_finder(annotation)
        assert find is not None
        assert list(find(None)) == []
