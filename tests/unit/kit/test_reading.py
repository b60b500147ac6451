"""What the results of the kit's operators depend on, and how the cache sees it.

Every operator has a row: a new one must be thought of here.
"""

import asyncio
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

from symphony.app import Symphony
from symphony.kit import operators
from symphony.ports.runs import RunResult
from symphony.workflow import loads

PAGE = Path(__file__).parents[3] / "docs" / "explanation" / "caching.md"
PYTHON = (
    "def total(values):\n    result = 0\n    for value in values:\n        result += value\n    return {}\n"
)
JUNIT = '<testsuite name="s"><testcase classname="c" name="{}"/></testsuite>'

SAMPLES: dict[str, tuple[str, str, str]] = {
    "code.census": ("a.py", "# SPDX-License-Identifier: MIT\n", "# SPDX-License-Identifier: ISC\n"),
    "code.shapes": ("a.py", PYTHON.format("result"), PYTHON.format("-result")),
    "code.symbols": ("a.py", "def one(): pass\n", "def two(): pass\n"),
    "code.survey": ("a.py", PYTHON.format("result"), PYTHON.format("-result")),
    "csv.profile": ("a.csv", "a\n1\n2\n", "a\n1\n3\n"),
    "csv.read": ("a.csv", "a\n1\n", "a\n2\n"),
    "data.read": ("a.json", "[1]", "[2]"),
    "docs.links": ("a.md", "[x](one.md)\n", "[x](two.md)\n"),
    "docs.passages": ("a.md", "# One\n\nText.\n", "# Two\n\nText.\n"),
    "fs.read": ("a.txt", "one", "two"),
    "issues.read": ("a.json", '[{"id": 1, "title": "one"}]', '[{"id": 1, "title": "two"}]'),
    "junit.read": ("a.xml", JUNIT.format("one"), JUNIT.format("two")),
}
"""For each pure operator with a path: a file, and two contents of one size that give two results."""


def test_every_pure_operator_with_a_path_is_tried() -> None:
    assert set(SAMPLES) == {
        name for name, one in operators().items() if one.info.effect == "pure" and one.paths
    }


async def ran(home: Path, name: str, cwd: Path, *, cache: bool = True) -> RunResult:
    node = {"operator": name, "inputs": {"path": SAMPLES[name][0]}}
    outputs = {port: f"${{{{ a.{port} }}}}" for port in operators()[name].info.outputs}
    document = json.dumps({"symphony": 1, "name": "t", "nodes": {"a": node}, "outputs": outputs})
    async with Symphony.open(home=home) as symphony:
        return await (await symphony.start(loads(document, "json"), cwd=cwd, cache=cache)).result()


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_a_changed_file_is_a_changed_result(name: str, tmp_path: Path) -> None:
    file, old, new = SAMPLES[name]
    seen: list[tuple[str, Any]] = []
    for text in (old, new, new, old):
        (tmp_path / file).write_text(text)
        result = asyncio.run(ran(tmp_path / "home", name, tmp_path))
        seen.append((result.nodes["a"].status.value, result.outputs))
    assert [status for status, _ in seen] == ["succeeded", "succeeded", "cached", "cached"]
    assert seen[0][1] != seen[1][1]
    assert [outputs for _, outputs in seen[2:]] == [seen[1][1], seen[0][1]]


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_a_result_from_another_folder_is_that_of_this_one(name: str, tmp_path: Path) -> None:
    file, text, _ = SAMPLES[name]
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text(text)
    asyncio.run(ran(tmp_path / "home", name, tmp_path / "one"))
    cached = asyncio.run(ran(tmp_path / "home", name, tmp_path / "two"))
    again = asyncio.run(ran(tmp_path / "home", name, tmp_path / "two", cache=False))
    assert cached.nodes["a"].status.value == "cached"
    assert cached.outputs == again.outputs


def kept(name: str) -> str:
    """How results of an operator are kept, in the words of the table in the page on caching."""
    one = operators()[name]
    if one.info.effect == "write":
        return "never"
    if one.info.effect == "read":
        return "by what it reads" if one.reads is not None else "never"
    if one.style == "inline":
        return "never: they are done at once"
    return "by inputs and files" if one.paths else "by inputs"


def test_the_table_of_the_page_tells_how_each_operator_is_kept() -> None:
    rows = re.findall(
        r"^\| ((?:`[a-z_.]+`(?:, )?)+) \| (\w+) \| [^|]+ \| ([^|]+) \|$", PAGE.read_text(), re.MULTILINE
    )
    told = {name.strip("`"): (effect, how) for names, effect, how in rows for name in names.split(", ")}
    assert told == {name: (one.info.effect, kept(name)) for name, one in operators().items()}


def test_pure_operators_of_the_kit_ask_neither_the_clock_nor_the_environment() -> None:
    """But for the clock by which they watch how long they take."""
    asked = re.compile(
        r"\b(environ|getenv|time\.time|datetime\.now|date\.today|random\(|uuid4|getlocale|gethostname)\b"
    )
    for name, one in operators().items():
        if one.info.effect == "pure" and name != "debug.flaky":
            module = inspect.getmodule(inspect.unwrap(one.function))
            assert module is not None
            assert not asked.search(inspect.getsource(module)), name
