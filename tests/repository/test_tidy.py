"""What no linter checks: sizes, and traces of one machine."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINES_MAX = 600
FUNCTION_LINES_MAX = 70
BANNED_NAMES = ("utils", "util", "helpers", "helper", "manager", "managers", "misc")

MACHINE = re.compile(
    r"(?<![\w.$}])(/Users/\w|/root/\w|/work/\w|/mnt/\w|[A-Z]:\\\\Users)"  # tidy: the rule itself
)
NOTE_TO_SELF = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")  # tidy: the rule itself
ADDRESS = re.compile(r"https?://|file:|--find-links|--(extra-)?index-url")


@cache
def tracked() -> tuple[Path, ...]:
    """Files of the repository, with those not yet added; what is ignored is not ours."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = (ROOT / name.decode() for name in listed.stdout.split(b"\0") if name)
    return tuple(path for path in paths if path.is_file())


def texts(*suffixes: str) -> Iterator[tuple[str, str]]:
    for path in tracked():
        if "cases" in path.parts or (suffixes and path.suffix not in suffixes):
            continue
        try:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def offences(pattern: re.Pattern[str], *suffixes: str) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()}"
        for name, text in texts(*suffixes)
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line) and "tidy: the rule itself" not in line
    ]


def test_no_python_file_is_longer_than_600_lines() -> None:
    long = {name: text.count("\n") for name, text in texts(".py") if text.count("\n") > LINES_MAX}
    assert long == {}


def test_no_function_is_longer_than_70_lines() -> None:
    long = [
        f"{name}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for name, text in texts(".py")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_no_line_ends_in_spaces_and_every_text_ends_in_one_newline() -> None:
    wrong = [
        name
        for name, text in texts(".py", ".md", ".toml", ".txt", ".in", ".yaml", ".yml", ".j2", ".svg", "")
        if text and (re.search(r"[ \t]+$", text, re.MULTILINE) or not text.endswith("\n"))
    ]
    assert [name for name in wrong if name != "LICENSE"] == []


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    assert offences(MACHINE) == []


def test_no_notes_to_self_are_left() -> None:
    assert offences(NOTE_TO_SELF, ".py", ".toml", ".yaml") == []


def test_no_source_is_left_unwritten() -> None:
    assert offences(re.compile(r"raise NotImplementedError"), ".py") == []  # tidy: the rule itself


def test_one_function_says_what_ends_a_line() -> None:
    """`str.splitlines` also cuts at form feeds, U+0085 and U+2028: see `symphony.commons.lines`."""
    found = offences(re.compile(r"\.splitlines\("), ".py", ".yaml", ".j2")
    assert [one for one in found if one.startswith("src/")] == []


def test_no_module_is_called_by_a_name_that_says_nothing() -> None:
    assert [
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.suffix == ".py" and (path.stem in BANNED_NAMES or path.parent.name in BANNED_NAMES)
    ] == []


def test_lock_files_carry_hashes_and_no_address() -> None:
    for file in sorted((ROOT / "requirements").glob("*.txt")):
        text = file.read_text(encoding="utf-8")
        assert not ADDRESS.search(text), file.name
        for requirement in re.split(r"\n(?=\S)", text.strip()):
            assert "--hash=sha256:" in requirement, f"{file.name}: {requirement.splitlines()[0]}"


def test_every_module_says_what_it_is() -> None:
    silent = [
        name
        for name, text in texts(".py")
        if name.startswith("src/") and text.strip() and not ast.get_docstring(ast.parse(text))
    ]
    assert silent == []


def test_tests_have_no_init_files() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []
