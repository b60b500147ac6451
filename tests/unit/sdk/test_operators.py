"""Functions as operators: ports, types, defaults, styles, effects, and what is refused."""

import asyncio
import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, TypedDict

import msgspec
import pytest

from symphony.commons.errors import SymphonyError
from symphony.ports.values import Value
from symphony.sdk import (
    Artifact,
    Cel,
    Context,
    Embedding,
    Glob,
    JmesPath,
    Json,
    Operator,
    OperatorInvalid,
    Regex,
    Template,
    TemplateFile,
    operator,
)
from symphony.workflow.types import PortType

Name = NewType("Name", str)


class Pair(TypedDict):
    left: list[str]
    right: int | None


class Row(NamedTuple):
    key: str
    size: int


@dataclass
class Point:
    x: float
    y: float


class Box(msgspec.Struct):
    path: Path
    tags: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (str, "string"), (int, "integer"), (float, "number"), (bool, "boolean"), (bytes, "bytes"),
        (Path, "path"), (object, "any"), (Any, "any"), (Value, "any"), (list, "list[any]"),
        (list[Value], "list[any]"), (Sequence[Path], "list[path]"), (tuple[int, ...], "list[integer]"),
        (tuple[int, int], "list[integer]"), (tuple[int, str], "list[any]"), (dict[str, int], "map[integer]"),
        (Mapping[str, list[bool]], "map[list[boolean]]"), (dict, "map[any]"), (int | float, "number"),
        (str | None, "string?"), (int | float | None, "number?"), (str | bytes, "any"),
        (Literal["a", "b"], "enum[a, b]"), (Literal["a"] | None, "enum[a]?"), (Embedding, "embedding"),
        (Json, "json"), (Artifact, "artifact"), (Name, "string"), (list[Pair], "list[map[any]]"),
        (Point, "map[any]"), (list[Embedding], "list[embedding]"), (Embedding | None, "embedding?"),
        (Annotated[int, "a note"], "integer"), (Annotated[str, PortType("path")], "path"),
        (Annotated[str, Cel("item", "index", gives=bool)], "cel[item, index -> boolean]"),
        (Annotated[str, Cel("row")] | None, "cel[row]?"), (list[Annotated[str, Regex()]], "list[regex]"),
        (dict[str, Annotated[str, JmesPath()]], "map[jmespath]"),
        (Annotated[Name, Template("data", "*data")], "template[data, *data]"),
        (Annotated[str, TemplateFile("data")], "template-file[data]"), (Annotated[str, Glob()], "glob"),
        (dict[Literal["a", "b"], int], "map[a | b: integer]"),
    ],
)  # fmt: skip
def test_an_annotation_gives_the_type_of_its_port(annotation: object, expected: str) -> None:
    def function(value) -> str:  # type: ignore[no-untyped-def]
        return str(value)

    function.__annotations__["value"] = annotation
    info = operator("a.b", version="1.0.0")(function).info
    assert str(info.inputs["value"].type) == expected


def test_names_types_defaults_and_help_come_from_the_function() -> None:
    @operator("files.count", version="1.2.3", pure=True)
    def count(root: Path, context: Context, kinds: Sequence[str] = ("py",), depth: int | None = None) -> int:
        """Count files
        of some kinds.

        Links are not followed.

        Args:
            root (Path): where to look,
                and nowhere else
            kinds: endings
        Returns:
            how many
        """
        return len(kinds)

    info = count.info
    assert (info.name, info.version, info.effect, info.idempotent) == ("files.count", "1.2.3", "pure", True)
    assert (info.summary, info.help) == ("Count files of some kinds.", "Links are not followed.")
    assert list(info.inputs) == ["root", "kinds", "depth"]
    assert info.inputs["root"].default is msgspec.UNSET
    assert info.inputs["root"].description == "where to look, and nowhere else"
    assert info.inputs["kinds"].default == ["py"]
    assert info.inputs["depth"].default is None
    assert info.outputs["result"].description == "how many"
    assert (count.context_name, count.style) == ("context", "thread")


def test_plain_lines_describe_ports_without_any_section() -> None:
    @operator("a.b", version="1.0.0", output="text")
    async def shout(text: str, times: int = 1) -> str:
        """Shout.

        text: what to shout
        times: how often,
            at most ten
        """
        return text * times

    assert shout.info.inputs["text"].description == "what to shout"
    assert shout.info.inputs["times"].description == "how often, at most ten"
    assert list(shout.info.outputs) == ["text"]
    assert shout.info.help == ""


def test_an_operator_is_still_the_function() -> None:
    @operator("a.b", version="1.0.0")
    def double(n: int) -> int:
        return 2 * n

    assert double(4) == 8
    assert isinstance(double, Operator)


def test_functions_get_paths_where_they_ask_for_paths() -> None:
    @operator("a.b", version="1.0.0")
    def kinds(one: Path, many: list[Path], none: Path | None, table: dict[str, Path], text: str) -> list[str]:
        found = [one, *many, none, *table.values(), text]
        return [type(value).__name__ for value in found]

    kind = type(Path()).__name__
    given = {"one": "a", "many": ["b"], "none": None, "table": {"k": "c"}, "text": "d"}
    assert kinds.function(**given) == [kind, kind, "NoneType", kind, "str"]


def test_an_async_function_gets_paths_too_and_stays_inline() -> None:
    @operator("a.b", version="1.0.0")
    async def suffix(path: Path) -> str:
        return path.suffix

    assert suffix.style == "inline"
    assert asyncio.run(suffix.function(path="x.py")) == ".py"  # type: ignore[arg-type]


def _plain(_: int) -> int:
    return 1


async def _quick(_: int) -> int:
    async def inner() -> None:
        await asyncio.sleep(0)

    return len([inner])


async def _waits(_: int) -> int:
    await asyncio.sleep(0)
    return 1


async def _enters(_: int) -> int:
    async with asyncio.timeout(1):
        return await _quick(1)


async def _loops(_: int) -> int:
    return len([x async for x in _source()])


async def _source() -> Any:
    yield 1


@pytest.mark.parametrize(
    ("function", "style"),
    [(_plain, "thread"), (_quick, "inline"), (_waits, "task"), (_enters, "task"), (_loops, "task")],
)
def test_only_what_cannot_suspend_runs_without_a_task(function: Callable[..., Any], style: str) -> None:
    assert operator("a.b", version="1.0.0")(function).style == style


def test_the_author_may_decide_whether_an_async_function_gets_a_task() -> None:
    assert operator("a.b", version="1.0.0", inline=False)(_quick).style == "task"
    assert operator("a.b", version="1.0.0", inline=True)(_waits).style == "inline"


def test_effects_are_write_unless_said_otherwise() -> None:
    effects = [
        (operator("a.b", version="1.0.0", **flags)(_plain).info.effect, flags)
        for flags in ({}, {"pure": True}, {"read": True}, {"reads": lambda _i, _c: "x"}, {"idempotent": True})
    ]
    assert [effect for effect, _ in effects] == ["write", "pure", "read", "read", "write"]
    assert operator("a.b", version="1.0.0").__call__(_plain).info.idempotent is False
    assert operator("a.b", version="1.0.0", idempotent=True)(_plain).info.idempotent is True


@pytest.mark.parametrize(
    ("annotation", "returned", "expected"),
    [
        (Pair, {"left": ("a", "b"), "right": 1}, {"left": ["a", "b"], "right": 1}),
        (Pair, {"left": []}, {"left": [], "right": None}),
        (Row, Row("k", 2), {"key": "k", "size": 2}),
        (Point, Point(1.5, 2), {"x": 1.5, "y": 2}),
        (Box, Box(Path("a/b"), ("t",)), {"path": "a/b", "tags": ["t"]}),
        (None, None, {}),
        (list[Point], [Point(1, 2)], {"result": [{"x": 1, "y": 2}]}),
    ],
)
def test_each_field_of_a_record_is_an_output(annotation: object, returned: object, expected: object) -> None:
    def function():  # type: ignore[no-untyped-def]
        return returned

    function.__annotations__["return"] = annotation
    made = operator("a.b", version="1.0.0")(function)
    assert made.ports(made.function()) == expected
    assert list(made.info.outputs) == list(expected) if isinstance(expected, dict) else True


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ({"left": []}, None),
        ({"right": 1}, "without left"),
        ({"left": [], "right": 1, "more": 2}, "unknown more"),
        (7, "without left, right"),
    ],
)
def test_a_record_with_missing_or_unknown_fields_is_refused(returned: object, said: str | None) -> None:
    def function() -> Pair:
        return {"left": [], "right": None}

    made = operator("a.b", version="1.0.0")(function)
    if said is None:
        made.ports(returned)
    else:
        with pytest.raises(TypeError, match=said):
            made.ports(returned)


def test_a_field_that_is_not_required_may_be_absent() -> None:
    class Sparse(TypedDict):
        a: int
        b: NotRequired[str | None]

    def function() -> Sparse:
        return {"a": 1}

    assert operator("a.b", version="1.0.0")(function).ports({"a": 1}) == {"a": 1, "b": None}


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (("a", ["b", ("c",)]), ["a", ["b", ["c"]]]),
        ({"p": Path("x")}, {"p": "x"}),
        ({1}, [1]),
        (Colour.RED, "red"),
        (b"\xff", b"\xff"),
        (True, True),
        ([1, 2.5, None, "x", b"y"], [1, 2.5, None, "x", b"y"]),
    ],
)
def test_what_is_returned_becomes_a_plain_value(returned: object, expected: Value) -> None:
    def function() -> object:
        return returned

    assert operator("a.b", version="1.0.0")(function).ports(returned) == {"result": expected}


def test_what_is_returned_is_not_shared_with_the_function() -> None:
    kept = [[1]]
    ports = operator("a.b", version="1.0.0")(_plain).ports(kept)
    kept[0].append(2)
    assert ports == {"result": [[1]]}


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (object(), "object"),
        ([float("nan")], "not finite"),
        (float("inf"), "not finite"),
        ([1, 2**63], "64 bits"),
        ({1: "x"}, "not text"),
        (lambda: 1, "function"),
    ],
)
def test_what_cannot_travel_is_refused_by_name(returned: object, said: str) -> None:
    with pytest.raises(TypeError, match=said) as caught:
        operator("a.b", version="1.0.0")(_plain).ports(returned)
    assert "output result of a.b" in str(caught.value)


def test_a_list_that_contains_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(TypeError, match="output result"):
        operator("a.b", version="1.0.0")(_plain).ports(endless)


def test_a_forgotten_async_is_refused() -> None:
    with pytest.raises(SymphonyError, match="returned a coroutine, which nobody awaited"):
        operator("a.b", version="1.0.0")(_plain).ports(_quick(1))


def _stars(*names: str) -> str:
    return ""


def _more(**names: str) -> str:
    return ""


def _bare(name) -> str:  # type: ignore[no-untyped-def]
    return ""


def _silent(name: str):  # type: ignore[no-untyped-def]
    return ""


def _positional(name: str, /) -> str:
    return ""


def _set(name: set[str]) -> str:
    return ""


def _numbers(name: dict[int, str]) -> str:
    return ""


def _default(name: int = "x") -> str:  # type: ignore[assignment]
    return ""


def _null(name: int = None) -> str:  # type: ignore[assignment]  # noqa: RUF013
    return ""


def _object(name: object = object()) -> str:
    return ""


def _two(one: Context, two: Context) -> str:
    return ""


def _yields(name: str) -> Any:
    yield name


def _unknown(name: "NoSuchName") -> str:  # type: ignore[name-defined]  # noqa: F821
    return ""


def _letter(größe: int) -> str:
    return ""


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (_stars, r"'\*names'"), (_more, r"'\*\*names'"), (_bare, "'name' has no annotation"),
        (_silent, "no return annotation"), (_positional, "positional only"), (_set, "parameter 'name'"),
        (_numbers, "must be str"), (_default, "'name': a string is not an integer"), (_null, "null"),
        (_object, "default of parameter 'name'"), (_two, "second Context"), (_yields, "yields"),
        (_unknown, "NoSuchName"), (_letter, "not an input name"), (Point, "a class"),
    ],
)  # fmt: skip
def test_a_function_that_does_not_suit_is_refused_by_name(function: Callable[..., Any], said: str) -> None:
    with pytest.raises(OperatorInvalid, match=said) as caught:
        operator("a.b", version="1.0.0")(function)
    assert function.__name__ in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "version"), [("", "1.0.0"), ("a b", "1.0.0"), ("a.", "1.0.0"), ("a", "1.0")]
)
def test_a_bad_name_or_version_is_refused(name: str, version: str) -> None:
    with pytest.raises(OperatorInvalid):
        operator(name, version=version)(_plain)


def test_pure_and_reading_exclude_each_other() -> None:
    with pytest.raises(OperatorInvalid, match="pure"):
        operator("a.b", version="1.0.0", pure=True, read=True)(_plain)
    with pytest.raises(OperatorInvalid, match="only an async"):
        operator("a.b", version="1.0.0", inline=True)(_plain)


def test_the_fingerprint_is_that_of_the_defining_file() -> None:
    import hashlib

    expected = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    assert operator("a.b", version="1.0.0")(_plain).fingerprint == expected


def test_without_a_source_the_fingerprint_is_that_of_the_code() -> None:
    def made(source: str) -> str:
        scope: dict[str, Any] = {}
        exec(compile(source, "<nowhere>", "exec"), scope)
        return operator("a.b", version="1.0.0")(scope["f"]).fingerprint

    first = made("def f(x: int) -> bool: return x in {1, 2}")
    assert first == made("def f(x: int) -> bool: return x in {1, 2}")
    assert first != made("def f(x: int) -> bool: return x in {1, 3}")


async def _gives(value: int) -> int:
    return value


def test_what_was_not_awaited_is_told_with_the_line_of_the_call() -> None:
    async def forgot(value: int) -> int:
        more = value + 1
        return _gives(more)  # type: ignore[return-value]

    def plain(value: int) -> int:
        return _gives(value)  # type: ignore[return-value]

    line = forgot.__code__.co_firstlineno
    for function, at, hint in (
        (forgot, line + 2, "write await before _gives(…)"),
        (plain, line + 5, "define it with async def, and write await before _gives(…)"),
    ):
        made = operator("a.b", version="1.0.0")(function)
        with pytest.raises(SymphonyError) as refused:
            made.ports(_gives(1))
        place = f"{__file__}:{at} in {function.__name__}"
        said = f"{place}: TypeError: a.b returned a coroutine, which nobody awaited"
        assert (refused.value.message, refused.value.hint) == (said, hint)
        assert refused.value.code == "operator-failed"


def test_what_was_not_awaited_inside_a_value_is_told() -> None:
    made = operator("a.b", version="1.0.0")(_plain)
    coroutine = _gives(1)
    with pytest.raises(TypeError, match="a coroutine is no value: write await before what gives it"):
        made.ports([coroutine])
    coroutine.close()
