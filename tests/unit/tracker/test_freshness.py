"""A cached result is taken only if nothing that it was made of has changed."""

import asyncio
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypedDict

import pytest

from symphony import operator
from symphony.app import Symphony
from symphony.pit.tracker.nodes.reading import FilesRead
from symphony.ports.runs import RunResult
from symphony.ports.values import ArtifactRef, Value
from symphony.sdk import Context, Operator
from symphony.testing import FakeModel
from symphony.testing.models import Call, FakeModels
from symphony.workflow import loads
from symphony.workflow.catalog import Port
from symphony.workflow.types import STRING, parse_type

LARGE = 3_000
"""Paths of 20 characters that are beyond what travels inline."""


class Pair(TypedDict):
    left: Path


class Row(NamedTuple):
    file: Path


@dataclass
class Source:
    file: Path


def texts(value: object) -> str:
    """The text of each file that `value` names, however deep."""
    if isinstance(value, str | Path):
        return Path(value).read_text()
    if isinstance(value, dict):
        return "".join(map(texts, value.values()))
    return "".join(map(texts, value)) if isinstance(value, list) else ""


def reader(name: str, annotation: object) -> Operator:
    """A pure operator that reads every file in its input, which is annotated `annotation`."""

    def function(paths, context):  # type: ignore[no-untyped-def]
        """Read."""
        return texts(paths)

    function.__annotations__ = {"paths": annotation, "context": Context, "return": str}
    return operator(name, version="1.0.0", pure=True)(function)


async def twice(
    home: Path,
    operators: Sequence[Operator],
    nodes: Mapping[str, object],
    change: Callable[[], object],
    cwd: Path | None = None,
) -> tuple[RunResult, RunResult]:
    """Two runs of a workflow in one process, with `change` between them."""
    outputs = {name: f"${{{{ {name}.result }}}}" for name in nodes if name != "source"}
    document = json.dumps({"symphony": 1, "name": "t", "nodes": nodes, "outputs": outputs})
    async with Symphony.open(home=home, operators=operators) as symphony:
        first = await (await symphony.start(loads(document, "json"), cwd=cwd)).result()
        change()
        second = await (await symphony.start(loads(document, "json"), cwd=cwd)).result()
    assert str(first.status) == str(second.status) == "succeeded", (first, second)
    return first, second


SHAPES: list[tuple[object, Callable[[str], Value]]] = [
    (Path, lambda file: file),
    (Path | None, lambda file: file),
    (list[Path], lambda file: [file]),
    (dict[str, Path], lambda file: {"one": file}),
    (dict[str, list[Path]], lambda file: {"one": [file]}),
    (list[list[Path]], lambda file: [[file]]),
    (list[Path] | Path, lambda file: [file]),
    (list[Path] | Path, lambda file: file),
    (str | Path, lambda file: file),
    (tuple[Path, int], lambda file: [file, 1]),
    (Pair, lambda file: {"left": file}),
    (list[Pair], lambda file: [{"left": file}]),
    (Row, lambda file: {"file": file}),
    (Source, lambda file: {"file": file}),
    (Literal["none"] | Path, lambda file: file),
    (list[Path], lambda file: [file] * LARGE),
    (dict[str, Path], lambda file: {str(at): file for at in range(LARGE)}),
]


@pytest.mark.parametrize(("annotation", "made"), SHAPES, ids=[str(shape[0]) for shape in SHAPES])
def test_a_changed_file_is_a_changed_result_wherever_its_path_stands(
    annotation: object, made: Callable[[str], Value], tmp_path: Path
) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    large = reader("test.read", annotation)
    given = operator("test.given", version="1.0.0", read=True)(_given(made(str(file))))
    nodes = {
        "source": {"operator": "test.given"},
        "a": {"operator": "test.read", "inputs": {"paths": "${{ source.result }}"}},
    }
    first, same = asyncio.run(twice(tmp_path / "home", [large, given], nodes, lambda: None))
    assert same.nodes["a"].status.value == "cached"
    first, second = asyncio.run(
        twice(tmp_path / "home", [large, given], nodes, lambda: file.write_text("new"))
    )
    assert (_head(first), _head(second)) == ("old", "new")


def _given(value: Value) -> Callable[[], object]:
    def given() -> object:
        """Give it."""
        return value

    return given


def _head(result: RunResult) -> str:
    found = result.outputs["a"]
    assert isinstance(found, str)
    return found[:3]


def test_a_file_behind_a_default_path_counts(tmp_path: Path) -> None:
    file = tmp_path / "settings.txt"
    file.write_text("old")

    def function(file: Path = file) -> str:
        """Read."""
        return file.read_text()

    one = operator("test.default", version="1.0.0", pure=True)(function)
    nodes = {"a": {"operator": "test.default"}}
    first, second = asyncio.run(twice(tmp_path / "home", [one], nodes, lambda: file.write_text("new")))
    assert (first.outputs["a"], second.outputs["a"]) == ("old", "new")


@pytest.mark.parametrize("kind", ["folder", "missing"])
def test_what_is_no_regular_file_is_never_taken_from_the_cache(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "target"
    if kind == "folder":
        target.mkdir()

    def function(paths: list[Path]) -> list[str]:
        """List."""
        return [entry.name for path in paths if path.exists() for entry in path.iterdir()]

    one = operator("test.look", version="1.0.0", pure=True)(function)
    nodes = {"a": {"operator": "test.look", "inputs": {"paths": [str(target)]}}}

    def change() -> None:
        target.mkdir(exist_ok=True)
        (target / "new").write_text("")

    first, second = asyncio.run(twice(tmp_path / "home", [one], nodes, change))
    assert (first.outputs["a"], second.outputs["a"]) == ([], ["new"])


def test_a_link_counts_by_the_file_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("old")
    (tmp_path / "two").write_text("new")
    link = tmp_path / "link"
    link.symlink_to("one")
    nodes = {"a": {"operator": "test.read", "inputs": {"paths": [[str(link)]]}}}

    def change() -> None:
        link.unlink()
        link.symlink_to("two")

    first, second = asyncio.run(
        twice(tmp_path / "home", [reader("test.read", list[list[Path]])], nodes, change)
    )
    assert (first.outputs["a"], second.outputs["a"]) == ("old", "new")


def test_a_relative_path_counts_in_the_folder_of_the_run_and_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        (folder / "a.txt").write_text("old")
    monkeypatch.chdir(here)
    nodes = {"a": {"operator": "test.read", "inputs": {"paths": {"one": "a.txt"}}}}
    one = reader("test.read", dict[str, Path])
    first, second = asyncio.run(
        twice(tmp_path / "home", [one], nodes, lambda: (here / "a.txt").write_text("new"), cwd=there)
    )
    assert (first.outputs["a"], second.outputs["a"]) == ("old", "new")


def test_a_file_of_the_same_content_is_the_same_whatever_its_times(tmp_path: Path) -> None:
    """Tools that compare times run everything again after `touch` or a new check-out."""
    file = tmp_path / "a.txt"
    file.write_text("old")

    def change() -> None:
        file.unlink()
        file.write_text("old")
        os.utime(file, (1, 1))

    nodes = {"a": {"operator": "test.read", "inputs": {"paths": {"one": str(file)}}}}
    one = reader("test.read", dict[str, Path])
    _, second = asyncio.run(twice(tmp_path / "home", [one], nodes, change))
    assert second.nodes["a"].status.value == "cached"


def test_elements_count_by_the_files_they_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("old")
    files: list[Value] = [{"one": str(tmp_path / name)} for name in ("a", "b")]
    each = {"operator": "test.read", "for_each": files, "inputs": {"paths": "${{ item }}"}}
    one = reader("test.read", dict[str, Path])
    first, second = asyncio.run(
        twice(tmp_path / "home", [one], {"a": each}, lambda: (tmp_path / "b").write_text("new"))
    )
    assert (first.outputs["a"], second.outputs["a"]) == (["old", "old"], ["old", "new"])


def test_a_model_that_takes_paths_is_asked_again_when_a_file_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")

    def told(call: Call) -> dict[str, Value]:
        return {"text": texts(call.inputs["files"])}

    ports = {"files": Port(type=parse_type("map[list[path]]"))}
    model = FakeModel(told, told, told, inputs=ports, outputs={"text": Port(type=STRING)})
    node = {"instrument": "m", "inputs": {"files": {"one": [str(file)]}}}
    document = {"symphony": 1, "name": "t", "nodes": {"a": node}, "outputs": {"a": "${{ a.text }}"}}

    async def whole() -> list[object]:
        seen: list[object] = []
        fakes = FakeModels({"m": model})
        async with Symphony.open(
            home=tmp_path / "home", models=fakes, catalog={"m": model.info("m")}
        ) as symphony:
            for text in ("old", "old", "new"):
                file.write_text(text)
                result = await (await symphony.start(loads(json.dumps(document), "json"))).result()
                seen.append((result.outputs["a"], result.nodes["a"].status.value))
        return seen

    assert asyncio.run(whole()) == [("old", "succeeded"), ("old", "cached"), ("new", "succeeded")]


@pytest.mark.parametrize(
    ("temperature", "cache", "status"),
    [
        (0.7, "auto", "succeeded"),
        (0.7, "on", "cached"),
        (1, "auto", "succeeded"),
        (0, "auto", "cached"),
        (0.0, "auto", "cached"),
        (None, "auto", "cached"),
    ],
)
def test_words_drawn_at_random_are_not_taken_from_an_earlier_run_unless_the_node_wants_it(
    temperature: float | None, cache: str, status: str, tmp_path: Path
) -> None:
    model = FakeModel(*["said"] * 4)
    node = {
        "instrument": "m",
        "inputs": {"prompt": "${{ item }}", "temperature": temperature},
        "for_each": ["one", "two"],
        "cache": cache,
    }
    document = {"symphony": 1, "name": "t", "nodes": {"a": node}, "outputs": {"a": "${{ a.text }}"}}

    async def second() -> set[str]:
        fakes, known = FakeModels({"m": model}), {"m": model.info("m")}
        async with Symphony.open(home=tmp_path / "home", models=fakes, catalog=known) as symphony:
            for _ in range(2):
                result = await (await symphony.start(loads(json.dumps(document), "json"))).result()
        assert result.outputs["a"] == ["said", "said"]
        return {result.nodes[name].status.value for name in ("a[0]", "a[1]")}

    assert asyncio.run(second()) == {status}


# ---- large values are looked into ---------------------------------------------------------


@operator("test.numbers", version="1.0.0", pure=True)
def numbers(values: list[int]) -> int:
    """Add them up."""
    return sum(values)


@operator("test.inline_numbers", version="1.0.0", pure=True)
async def inline_numbers(values: list[int]) -> int:
    """Add them up."""
    return len(values)


@operator("test.named", version="1.0.0", pure=True)
def named(values: dict[str, list[str]]) -> int:
    """Count them."""
    return len(values)


@operator("test.mixed", version="1.0.0", read=True)
def mixed(size: int) -> object:
    """Numbers, with a text among them at the end."""
    return [*range(size), "x"]


@pytest.mark.parametrize("size", [10, 50_000])
@pytest.mark.parametrize("target", ["test.numbers", "test.inline_numbers", "test.named"])
def test_types_of_inputs_are_checked_however_large_the_value(target: str, size: int) -> None:
    nodes = {
        "source": {"operator": "test.mixed", "inputs": {"size": size}},
        "a": {"operator": target, "inputs": {"values": "${{ source.result }}"}},
    }
    document = json.dumps({"symphony": 1, "name": "t", "nodes": nodes})

    async def whole() -> RunResult:
        async with Symphony.open(memory=True, operators=[numbers, inline_numbers, named, mixed]) as symphony:
            return await (await symphony.start(loads(document, "json"))).result()

    result = asyncio.run(whole())
    error = result.nodes["a"].error
    assert error is not None
    expected = (
        "a list is not a map" if target == "test.named" else f"element {size}: a string is not an integer"
    )
    assert (error.code, expected in error.message) == ("type-mismatch", True), error.message
    assert not isinstance(error, ArtifactRef)


# ---- code ---------------------------------------------------------------------------------


def test_one_process_calls_the_code_that_files_hold_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that lives on has modules loaded; a file that changed is loaded again."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    (tmp_path / "calls.py").write_text(
        "from fresh_rates import rate\n\n\ndef f() -> int:\n    return rate()\n"
    )
    rates = tmp_path / "fresh_rates.py"
    rates.write_text("from fresh_rate import RATE\n\n\ndef rate() -> int:\n    return RATE\n")
    (tmp_path / "fresh_rate.py").write_text("RATE = 1\n")
    nodes = {"a": {"operator": "python.call", "inputs": {"file": "calls.py", "function": "f"}}}
    flow = tmp_path / "flow.json"
    flow.write_text(
        json.dumps({"symphony": 1, "name": "t", "nodes": nodes, "outputs": {"a": "${{ a.result }}"}})
    )

    async def whole() -> list[object]:
        seen = []
        async with Symphony.open(home=tmp_path / "home") as symphony:
            for text in ("RATE = 1\n", "RATE = 22\n", "RATE = 1\n"):
                (tmp_path / "fresh_rate.py").write_text(text)
                result = await (await symphony.start(flow)).result()
                seen.append((result.outputs["a"], result.nodes["a"].status.value))
        return seen

    assert asyncio.run(whole()) == [(1, "succeeded"), (22, "succeeded"), (1, "cached")]


# ---- what changes meanwhile, and what surrounds a node -------------------------------------


def test_a_file_that_changes_while_the_operator_runs_leaves_no_result(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    meanwhile = ["new"]

    def function(file: Path, context: Context) -> str:
        """Read, when somebody else has just written."""
        if meanwhile:
            file.write_text(meanwhile.pop())
        return file.read_text()

    one = operator("test.slow", version="1.0.0", pure=True)(function)
    nodes = {"a": {"operator": "test.slow", "inputs": {"file": str(file)}}}
    first, second = asyncio.run(twice(tmp_path / "home", [one], nodes, lambda: file.write_text("old")))
    assert (first.outputs["a"], second.outputs["a"]) == ("new", "old")


def test_a_look_at_its_times_tells_of_a_settled_file_that_it_is_as_it_was(tmp_path: Path) -> None:
    file, other, link = (tmp_path / name for name in ("a.txt", "b.txt", "link"))
    for one in (file, other):
        one.write_text("old")
        os.utime(one, (1, 1))
    link.symlink_to(file)
    later_s = file.stat().st_ctime + 10

    def lasting(change: Callable[[], object], began_s: float) -> bool:
        seen = FilesRead(began_s)
        seen.note(file)
        seen.note(link)
        change()
        return seen.lasting()

    assert lasting(lambda: None, later_s)
    assert not lasting(lambda: None, later_s - 9), "it may change again without a trace"
    assert not lasting(lambda: (file.write_text("new"), os.utime(file, (1, 1))), later_s)
    assert not lasting(lambda: (link.unlink(), link.symlink_to(other)), later_s)
    assert not lasting(lambda: other.replace(file), later_s)
    assert not lasting(file.unlink, later_s)


FOLDERS = """
from pathlib import Path

from symphony import operator
from symphony.sdk import Context


@operator("test.where", version="1.0.0", pure=True)
def where(context: Context) -> list[str]:
    \"\"\"The folder.\"\"\"
    return [str(context.cwd)]


@operator("test.whole", version="1.0.0", pure=True)
def whole(paths: list[Path]) -> list[str]:
    \"\"\"The absolute paths.\"\"\"
    return [str(path.absolute()) for path in paths]


@operator("test.secret", version="1.0.0", pure=True)
def secret(context: Context) -> int:
    \"\"\"How long a variable is.\"\"\"
    return len(context.environment["LENGTH"])
"""


async def ran(
    home: Path, document: Mapping[str, object], file: Path, cwd: Path, **environment: str
) -> RunResult:
    async with Symphony.open(home=home, operators=[file]) as symphony:
        handle = await symphony.start(loads(json.dumps(document), "json"), cwd=cwd, environment=environment)
        return await handle.result()


def test_an_operator_that_sees_the_folder_of_the_run_counts_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ops.py").write_text(FOLDERS)
    nodes = {
        "a": {"operator": "test.where"},
        "b": {"operator": "test.whole", "inputs": {"paths": ["a.txt"]}},
    }
    outputs = {"a": "${{ a.result }}", "b": "${{ b.result }}"}
    document = {"symphony": 1, "name": "t", "nodes": nodes, "outputs": outputs}
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text("the same")
        monkeypatch.chdir(tmp_path / name)
        for status in ("succeeded", "cached"):
            found = asyncio.run(ran(tmp_path / "home", document, tmp_path / "ops.py", tmp_path / name))
            folder = tmp_path / name
            assert found.outputs == {"a": [str(folder)], "b": [str(folder / "a.txt")]}
            assert [found.nodes[node].status.value for node in "ab"] == [status, status]


def test_an_operator_that_may_look_at_listed_variables_is_not_cached(tmp_path: Path) -> None:
    (tmp_path / "ops.py").write_text(FOLDERS)
    nodes = {"a": {"operator": "test.secret"}}
    outputs = {"a": "${{ a.result }}"}
    document = {"symphony": 1, "name": "t", "nodes": nodes, "outputs": outputs, "env": ["LENGTH"]}
    for value in ("a value", "another value"):
        found = asyncio.run(ran(tmp_path / "home", document, tmp_path / "ops.py", tmp_path, LENGTH=value))
        assert found.outputs == {"a": len(value)}


@pytest.mark.slow
def test_a_worker_that_imports_newer_code_leaves_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process has one version of a module, a worker that begins later another."""
    lib = tmp_path / "lib"
    lib.mkdir()
    monkeypatch.syspath_prepend(lib)
    monkeypatch.setenv("PYTHONPATH", str(lib))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    rates = lib / "worker_rates.py"
    rates.write_text("RATE = 1\n")
    (tmp_path / "ops.py").write_text(
        "import worker_rates\nfrom symphony import operator\n\n\n"
        '@operator("test.rate", version="1.0.0", pure=True, cpu=True)\n'
        'def rate(n: int) -> int:\n    """The rate."""\n    return worker_rates.RATE * n\n\n\n'
        '@operator("test.here", version="1.0.0", pure=True)\n'
        'def here(n: int) -> int:\n    """The rate."""\n    return worker_rates.RATE * n\n'
    )

    async def whole() -> list[object]:
        seen: list[object] = []
        async with Symphony.open(home=tmp_path / "home", operators=[tmp_path / "ops.py"]) as symphony:
            for name, text in (("here", "RATE = 22\n"), ("rate", "RATE = 1\n"), ("rate", "RATE = 1\n")):
                nodes = {"a": {"operator": f"test.{name}", "inputs": {"n": 1}}}
                document = {"symphony": 1, "name": "t", "nodes": nodes, "outputs": {"a": "${{ a.result }}"}}
                result = await (await symphony.start(loads(json.dumps(document), "json"))).result()
                seen.append((result.outputs["a"], result.nodes["a"].status.value))
                rates.write_text(text)
        return seen

    seen = asyncio.run(whole())
    assert seen[:2] == [(1, "succeeded"), (22, "succeeded")]
    assert seen[2][1] == "succeeded", "what a worker made of newer code was not kept"  # type: ignore[index]
