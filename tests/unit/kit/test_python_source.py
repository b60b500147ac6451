"""code.symbols, code.shapes and code.survey, and the reader of Python source behind it."""

import ast
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.errors import IoFailed
from symphony.kit import operators
from symphony.kit.errors import InputRefused
from symphony.kit.python_source import SourceProblem, read_source
from symphony.kit.shapes import _parts

EXAMPLE = b'''"""About it."""
__all__ = ["Shape", "load"]
import x
if x:
    @cached(1)
    async def load(a: int, *, b=2, **rest) -> str:
        """Load it.

        And more.
        """
        def inner(): pass
        return "\\d"
class Shape(Base, metaclass=Meta):
    @property
    def area(self): return 1
    def __init__(self): pass
    def _hidden(self):
        x = """
raw"""
    class Part:
        def size(self): "of it"
def other(): pass; x = 1
'''


def names(body: bytes) -> list[str]:
    return [one.qualified_name for one in read_source(body).definitions]


def test_definitions_are_listed_in_order_with_their_facts() -> None:
    module = read_source(EXAMPLE)
    assert (module.docstring, module.lines) == ("About it.", 22)
    facts = [(one.qualified_name, one.kind, one.line, one.public, one.nested) for one in module.definitions]
    assert facts == [
        ("load", "function", 6, True, False),
        ("load.inner", "function", 11, False, True),
        ("Shape", "class", 13, True, False),
        ("Shape.area", "method", 15, True, False),
        ("Shape.__init__", "method", 16, True, False),
        ("Shape._hidden", "method", 17, False, False),
        ("Shape.Part", "class", 20, True, False),
        ("Shape.Part.size", "method", 21, True, False),
        ("other", "function", 22, False, False),
    ]


def test_signature_decorators_and_source_are_as_written() -> None:
    load, _, shape, area, _, hidden, *_, other = read_source(EXAMPLE).definitions
    assert load.signature == "(a: int, *, b=2, **rest) -> str"
    assert load.decorators == ("cached(1)",)
    assert load.source.startswith('async def load(a: int, *, b=2, **rest) -> str:\n    """Load it.')
    assert load.source.endswith('    return "\\d"')
    assert (shape.signature, area.source) == ("(Base, metaclass=Meta)", "def area(self): return 1")
    assert hidden.source == 'def _hidden(self):\n    x = """\nraw"""'
    assert other.source == "def other(): pass; x = 1"


def test_without_a_list_of_names_an_underscore_decides() -> None:
    found = read_source(b"def a(): 0\ndef _b(): 0\nclass _C:\n def d(self): 0").definitions
    assert [one.public for one in found] == [True, False, False, False]
    for offered in (b"__all__ = [x]", b"__all__ = ['_b']\n__all__ += ['c']", b"__all__ = list()"):
        assert read_source(offered + b"\ndef a(): 0").definitions[0].public


@pytest.mark.parametrize(
    ("body", "source"),
    [
        ("# coding: latin-1\ndef f(): 'é'".encode("latin-1"), "def f(): 'é'"),
        ("\ufeffdef f(): 'é'\n".encode(), "def f(): 'é'"),
        (b"def f():\r\n  return 1\r\n", "def f():\n  return 1"),
        (b"def f():\n\x0c  return 1\n", "def f():\n\x0c  return 1"),
        ("if 'é': pass; x = 'é'\ndef f(): 'é'; 'ü'".encode(), "def f(): 'é'; 'ü'"),
    ],
)
def test_encodings_and_line_ends_are_read_as_python_does(body: bytes, source: str) -> None:
    assert [one.source for one in read_source(body).definitions] == [source]


def test_a_declared_encoding_counts_for_docstrings_too() -> None:
    body = "# coding: latin-1\ndef f(): 'é'".encode("latin-1")
    assert read_source(body).definitions[0].docstring == "é"


@pytest.mark.parametrize(
    ("body", "line", "said"),
    [
        (b"x = 1\ndef f(:\n", 2, "invalid syntax"),
        (b"a\n\0", 2, "null"),
        (b"x = 1\ny = '\xff'", 2, "utf-8"),
        (b"# coding: utf-8\nx = '\xff'", 2, "utf-8"),
        (b"# coding: nope\n", 1, "nope"),
        (b"# coding: rot13\n", 1, "rot13"),
        (b"(" * 5000, 1, "nested"),
        (b"-" * 100_000 + b"1", None, "nested too deeply"),
        (b"a" + b"()" * 50_000, None, "nested too deeply"),
        (b"if 1:\nx", 2, "indented"),
    ],
)
def test_broken_source_is_a_problem_with_its_line(body: bytes, line: int | None, said: str) -> None:
    with pytest.raises(SourceProblem, match=said) as caught:
        read_source(body)
    assert line is None or caught.value.line == line


def test_a_default_too_deep_to_print_is_left_out() -> None:
    (found,) = read_source(b"def f(x=" + b"-" * 900 + b"1): pass").definitions
    assert found.signature in ("(…)", f"(x={'-' * 900}1)")


@given(st.binary(max_size=60) | st.text(alphabet="def class(x):\n \t'\"\\#=@[]", max_size=60).map(str.encode))
def test_any_bytes_give_definitions_or_a_problem(body: bytes) -> None:
    try:
        read_source(body)
    except SourceProblem as problem:
        assert problem.message


def test_the_operator_reports_broken_files_and_goes_on(run: Any, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"def f(:")
    found = run("code.symbols", path="a.py", name="src/a.py")
    assert found["symbols"] == []
    assert found["problems"] == [{"file": "src/a.py", "line": 1, "message": "invalid syntax"}]


def test_the_operator_gives_names_and_keeps_to_the_kinds_asked_for(run: Any, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(EXAMPLE)
    found = run("code.symbols", path=str(tmp_path / "a.py"), name="a.py", kinds=["class"])
    assert [one["qualified_name"] for one in found["symbols"]] == ["Shape", "Shape.Part"]
    assert found["symbols"][0]["file"] == "a.py"
    assert (found["symbols"][0]["documented"], found["documented"], found["lines"]) == (False, True, 22)
    with pytest.raises(InputRefused, match="modules"):
        run("code.symbols", path="a.py", kinds=["modules"])


def test_without_a_name_a_file_is_called_by_its_path(run: Any, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(EXAMPLE)
    path = str(tmp_path / "a.py")
    assert {one["file"] for one in run("code.symbols", path=path)["symbols"]} == {path}


def test_a_file_that_is_not_there_fails_and_one_too_large_does_not(run: Any, tmp_path: Path) -> None:
    with pytest.raises(IoFailed, match=r"nope\.py"):
        run("code.symbols", path="nope.py")
    with (tmp_path / "big.py").open("wb") as file:
        file.truncate(4 * 1024 * 1024 + 1)
    assert "4 MiB" in run("code.symbols", path="big.py")["problems"][0]["message"]


OVERLOADED = b'''
from typing import overload
import typing as t
class Store:
    @overload
    def get(self, key: str) -> str: ...
    @t.overload
    def get(self, key: int) -> int: ...
    def get(self, key):
        """Documented here, where it belongs."""
        return key
    @property
    def size(self):
        """How much."""
    @size.setter
    def size(self, value):
        self.value = value
    @overload
    def put(self, key: str) -> None:
        """Documented at the stub."""
    @overload
    def put(self, key: int) -> None: ...
    def put(self, key): ...
    @overload
    def drop(self, key: str) -> None: ...
    def drop(self, key): ...
def size(value): ...
'''


def test_overloads_count_with_their_implementation_and_setters_with_their_property() -> None:
    found = read_source(OVERLOADED).definitions
    told = [
        (one.qualified_name, one.overload, one.docstring is not None) for one in found if one.kind != "class"
    ]
    assert told == [
        ("Store.get", True, True), ("Store.get", True, True), ("Store.get", False, True),
        ("Store.size", False, True), ("Store.size", False, True),
        ("Store.put", True, True), ("Store.put", True, True), ("Store.put", False, True),
        ("Store.drop", True, False), ("Store.drop", False, False),
        ("size", False, False),
    ]  # fmt: skip


def test_a_class_with_methods_has_no_shape_for_its_methods_have(run: Any, tmp_path: Path) -> None:
    plain = "    one: int = 1\n    two: int = 2\n    three: int = 3\n    four: int = 4\n"
    method = "    def a(self, x):\n        y = x\n        y += 1\n        y += 2\n        return y\n"
    source = f"class Plain:\n{plain}\nclass Busy(Base):\n{plain}{method}"
    (tmp_path / "a.py").write_text(source)
    found = run("code.shapes", path="a.py", min_lines=4)
    assert [item["name"] for item in found["items"]] == ["Plain", "Busy.a"]


def test_what_differs_only_in_names_has_one_digest(run: Any, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        "def f(a):\n    b = a\n    return b + 1\n\ndef g(x):\n    y = x\n    return y + 1\n"
    )
    first, second = run("code.shapes", path="a.py", min_lines=2)["items"]
    assert first["digest"] == second["digest"]
    (tmp_path / "a.py").write_text("def f(a):\n    b = a\n    return b + 2\n")
    assert run("code.shapes", path="a.py", min_lines=2)["items"][0]["digest"] != first["digest"]


def test_a_survey_gives_what_symbols_and_shapes_give_but_for_the_sources_of_symbols(
    run: Any, tmp_path: Path
) -> None:
    files = {"a.py": EXAMPLE, "broken.py": b"x = 1\ndef f(:\n", "long.py": Path(__file__).read_bytes()}
    for name, body in files.items():
        (tmp_path / name).write_bytes(body)
        symbols = run("code.symbols", path=name, name=f"src/{name}")
        shapes = run("code.shapes", path=name, name=f"src/{name}", min_lines=3)
        bare = [{key: value for key, value in one.items() if key != "source"} for one in symbols["symbols"]]
        found = run("code.survey", path=name, name=f"src/{name}", min_lines=3)
        assert found == {**symbols, **shapes, "symbols": bare}
    assert run("code.survey", path="a.py")["symbols"][0]["file"] == "a.py"
    with pytest.raises(InputRefused, match="min_lines"):
        run("code.survey", path="a.py", min_lines=1)


@pytest.mark.parametrize("name", ["code.shapes", "code.survey", "code.symbols"])
def test_what_parses_source_runs_on_all_cores(name: str) -> None:
    assert operators()[name].cpu


def test_the_parts_of_a_tree_come_in_the_order_of_the_standard_walk() -> None:
    left_out = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
    tree = ast.parse(Path(__file__).read_bytes())
    assert _parts(tree) == [one for one in ast.walk(tree) if not isinstance(one, left_out)]
