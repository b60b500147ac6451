"""Results of earlier runs that were taken though what they depend on had changed."""

from collections.abc import Callable

import pytest
from tests.faults.conftest import Fault
from tests.support.commands import statuses

pytestmark = pytest.mark.slow


def test_paths_inside_maps_lists_and_records_count_by_content(fault: Callable[[str], Fault]) -> None:
    case = fault("cache-stale-paths-inside")
    for text in ("old", "new"):
        (case.folder / "a.txt").write_text(text)
        result = case.run("flow.yaml", "--operators", "ops.py")
        assert result["outputs"] == {"a": text, "b": text, "c": text}


def test_a_template_given_as_text_counts_with_the_files_that_it_includes(
    fault: Callable[[str], Fault],
) -> None:
    case = fault("inline-template-include-stale")
    for text in ("hello\n", "goodbye\n"):
        (case.folder / "part.txt").write_text(text)
        assert case.run("flow.yaml")["outputs"] == {"text": text}
    nodes = case.run("flow.yaml")["nodes"]
    assert isinstance(nodes, dict)
    assert nodes["out"]["status"] == "cached"


def test_an_operator_counts_with_the_modules_that_its_file_imports(fault: Callable[[str], Fault]) -> None:
    case = fault("helper-module-stale")
    env = {"PYTHONPATH": "lib"}
    seen = []
    for rate in (1, 2, 2):
        (case.folder / "lib" / "rates.py").write_text(f"def rate(): return {rate}\n")
        result = case.run("w.yaml", "--operators", "ops.py", env=env)
        seen.append((result["outputs"], statuses(result)["a"]))
    assert seen == [({"a": 10}, "succeeded"), ({"a": 20}, "succeeded"), ({"a": 20}, "cached")]


CALLS = """
name: Calls
nodes:
  a: {operator: python.call, inputs: {file: f.py, function: text, arguments: {path: a.txt}}}
  b: {operator: python.call, inputs: {file: f.py, function: deep, arguments: {of: {one: [a.txt]}}}}
  c: {operator: python.call, inputs: {file: f.py, function: given}}
  d: {operator: python.call, inputs: {file: f.py, function: priced, arguments: {net: 10}}}
  e: {operator: python.call, inputs: {file: f.py, function: plain, arguments: {net: 10}}}
outputs: {a: "${{ a.result }}", b: "${{ b.result }}", c: "${{ c.result }}", d: "${{ d.result }}"}
"""
FUNCTIONS = """
from pathlib import Path


def text(path: Path) -> str:
    return path.read_text()


def deep(of):
    return Path(of["one"][0]).read_text()


def given(path=Path("a.txt")):
    return path.read_text()


def priced(net: int) -> int:
    import rates
    return net * rates.rate()


def plain(net: int) -> int:
    return net
"""


def test_a_called_function_counts_with_its_imports_and_the_files_in_its_arguments(
    fault: Callable[[str], Fault],
) -> None:
    case = fault("helper-module-stale")
    (case.folder / "calls.yaml").write_text(CALLS)
    (case.folder / "f.py").write_text(FUNCTIONS)
    env = {"PYTHONPATH": "lib"}
    for text, rate in (("old", 1), ("new", 1), ("new", 2)):
        (case.folder / "a.txt").write_text(text)
        (case.folder / "lib" / "rates.py").write_text(f"def rate(): return {rate}\n")
        result = case.run("calls.yaml", env=env)
        assert result["outputs"] == {"a": text, "b": text, "c": text, "d": 10 * rate}
    result = case.run("calls.yaml", env=env)
    assert set(statuses(result).values()) == {"cached"}
