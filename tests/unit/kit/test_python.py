"""python.call and python.run: functions from files beside the workflow."""

from pathlib import Path
from typing import Any

import pytest

from symphony.commons.errors import SymphonyError
from symphony.kit import operators
from symphony.kit.errors import InputRefused
from symphony.kit.python import PythonFailed, PythonNotLoaded
from symphony.ports.values import Value

SHAPES = """\
from __future__ import annotations

import asyncio
from pathlib import Path

from symphony import Context, SymphonyError, operator

loads = []
loads.append(1)


def area(width: int, height: float = 2.0) -> float:
    print("computing")
    return width * height


def suffix(file: Path, context: Context) -> str:
    return file.suffix + context.node


async def later(x):
    await asyncio.sleep(0)
    return [x, len(loads)]


def broken(d: dict[str, int]) -> float:
    return 1 / d["zero"]


def refuses() -> None:
    raise SymphonyError("not today", code="not-today", hint="tomorrow")


def leaves() -> None:
    raise SystemExit(3)


def strange() -> object:
    return object()


def odd(x: Nowhere) -> int:
    return x


@operator("shapes.twice", version="1.0.0")
def twice(x: int) -> int:
    return 2 * x


PI = 3
"""


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    file = tmp_path / "my shapes.py"
    file.write_text(SHAPES, encoding="utf-8")
    return file


@pytest.mark.parametrize("name", ["python.call", "python.run"])
def test_a_function_is_called_with_what_its_annotations_promise(run: Any, shapes: Path, name: str) -> None:
    def call(function: str, **arguments: Any) -> Any:
        return run(name, file=shapes.name, function=function, arguments=arguments)["result"]

    assert call("area", width=3) == 6.0
    assert call("suffix", file="a/b.csv") == ".csvnode"
    assert call("later", x=None) == [None, 1]
    assert call("twice", x=4) == 8
    assert call("odd", x=1) == 1


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        ("area", {}, "missing a required argument: 'width'"),
        ("area", {"width": 1, "depth": 2}, "unexpected keyword argument 'depth'"),
        ("area", {"width": "3"}, "width: a string is not an integer"),
    ],
)
def test_arguments_that_do_not_fit_are_named_with_the_functions_line(
    run: Any, shapes: Path, function: str, arguments: Any, message: str
) -> None:
    with pytest.raises(InputRefused, match=message) as caught:
        run("python.call", file=shapes.name, function=function, arguments=arguments)
    assert "my shapes.py:12" in str(caught.value)


def test_an_error_names_the_file_and_the_line_in_it(run: Any, shapes: Path) -> None:
    with pytest.raises(PythonFailed, match=r"my shapes\.py:27 in broken: ZeroDivisionError"):
        run("python.call", file=shapes.name, function="broken", arguments={"d": {"zero": 0}})
    assert any("Traceback" in text for stream, text in run.logged if stream == "stderr")
    with pytest.raises(SymphonyError, match="not today") as caught:
        run("python.call", file=shapes.name, function="refuses")
    assert caught.value.code == "not-today"
    with pytest.raises(PythonFailed, match="SystemExit"):
        run("python.call", file=shapes.name, function="leaves")
    with pytest.raises(TypeError, match="is not a value"):
        run("python.call", file=shapes.name, function="strange")


def test_a_name_that_is_no_function_is_told(run: Any, shapes: Path) -> None:
    with pytest.raises(PythonNotLoaded, match="no function 'aera'") as caught:
        run("python.call", file=shapes.name, function="aera")
    assert caught.value.hint == "did you mean area?"
    with pytest.raises(PythonNotLoaded, match="PI is not a function but a int"):
        run("python.call", file=shapes.name, function="PI")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "cannot be read"),
        (b"def f(:\n", r"f\.py:1: "),
        (b"import nowhere_at_all\n", r"f\.py:1: ModuleNotFoundError"),
        (b"\n1/0\n", r"f\.py:2: ZeroDivisionError"),
        (b"\0", "null bytes"),
        (b"raise SystemExit(0)", "SystemExit"),
    ],
)
def test_a_file_that_cannot_be_loaded_is_told_with_its_line(
    run: Any, tmp_path: Path, source: bytes | None, message: str
) -> None:
    if source is not None:
        (tmp_path / "f.py").write_bytes(source)
    with pytest.raises(PythonNotLoaded, match=message):
        run("python.call", file="f.py", function="f")


def test_a_changed_file_is_loaded_again_and_changes_the_key_of_the_cache(run: Any, tmp_path: Path) -> None:
    reads = operators()["python.call"].reads
    assert reads is not None
    inputs = {"file": "f.py", "function": "f"}
    assert reads(inputs, run.context()) is None
    seen = set()
    for number in (1, 2):
        (tmp_path / "f.py").write_text(f"def f(): return {number}\n", encoding="utf-8")
        assert run("python.call", **inputs) == {"result": number}
        seen.add(reads(inputs, run.context()))
    assert len(seen) == 2


def test_a_call_is_kept_by_the_files_that_its_arguments_name(run: Any, tmp_path: Path) -> None:
    reads = operators()["python.call"].reads
    assert reads is not None
    (tmp_path / "f.py").write_text("def f(a, b='default.txt', *, c=['other.txt']):\n    return a\n")
    (tmp_path / "folder").mkdir()

    def told(*arguments: Value) -> str | None:
        inputs: dict[str, Value] = {"file": "f.py", "function": "f", "arguments": {"a": [*arguments]}}
        return reads(inputs, run.context())

    for name, given in (
        ("a.txt", "a.txt"), ("b.txt", {"deep": ["b.txt"]}), ("c.txt", {"c.txt": 1}),
        ("d.txt", str(tmp_path / "d.txt")), ("default.txt", 1), ("other.txt", 1),
    ):  # fmt: skip
        absent = told(given)
        (tmp_path / name).write_text("old")
        old = told(given)
        (tmp_path / name).write_text("new")
        assert len({absent, old, told(given)}) == 3, name
        assert None not in (absent, old)
    assert told("", "no file", "a\0b", "x" * 10_000, 1, None) is not None
    for folder in ("folder", ".", str(tmp_path)):
        assert told(folder) is None, "what is read of a folder is not known"
