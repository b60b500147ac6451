"""The repository report, as `make run` makes it: real files, the real model, the real command."""

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.support.commands import CommandLine

pytestmark = pytest.mark.slow

WORKFLOW = Path(__file__).parents[2] / "examples" / "repo-report" / "workflow.yaml"
LIMIT_S = 120

FIRST = '''
def total(items):
    """Sum of what counts."""
    result = 0
    for item in items:
        if item:
            result += item
    return result * 2
'''
COPY = """
def other(values):
    s = 0
    for v in values:
        if v:
            s += v
    return s * 2
"""


class Report(CommandLine):
    """Runs the example with a home of its own."""

    def symphony(self, *arguments: str) -> str:
        done = self.call(*arguments, timeout_s=LIMIT_S)
        assert done.status == 0, done.err
        return done.out

    def run(self, path: Path) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(
            self.symphony("run", str(WORKFLOW), "--input", f"path={path}", "--json")
        )
        assert result["status"] == "succeeded"
        return result

    def body(self, result: dict[str, Any], output: str) -> str:
        return self.symphony("artifacts", "get", result["outputs"][output]["$artifact"])


@pytest.fixture
def report(tmp_path: Path) -> Report:
    return Report(tmp_path)


def statuses(result: dict[str, Any], node: str) -> Counter[str]:
    return Counter(v["status"] for name, v in result["nodes"].items() if name.startswith(f"{node}["))


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=A B", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_an_empty_folder_has_a_report(report: Report, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    result = report.run(tmp_path / "nothing")
    numbers = ("files", "near_duplicates", "undocumented", "unparsed")
    assert [result["outputs"][name] for name in numbers] == [0, 0, 0, 0]
    assert "is in no git repository" in report.body(result, "report_html")
    git(tmp_path / "nothing", "init")
    assert "No commit has touched" in report.body(report.run(tmp_path / "nothing"), "report_markdown")


def test_hostile_names_and_broken_files_are_reported_and_do_no_harm(report: Report, tmp_path: Path) -> None:
    repository = tmp_path / "spä ce's <b>|x"
    (repository / "päck age").mkdir(parents=True)
    (repository / "päck age" / "<script>alert(1)&.py").write_text(FIRST)
    (repository / "b|`c.py").write_text(COPY)
    (repository / "broken.py").write_text("def broken(:\n")
    (repository / "binary.py").write_bytes(b"\xff\xfe\x00")
    (repository / "empty.py").write_text("")
    (repository / "deep.py").write_text("x = " + "(" * 100_000)
    git(repository, "init")
    git(repository, "add", "--all")
    git(repository, "commit", "--message", "first")
    result = report.run(repository)
    assert result["outputs"]["files"] == 6
    assert result["outputs"]["near_duplicates"] == 1
    assert result["outputs"]["undocumented"] == 1
    assert result["outputs"]["unparsed"] == 3
    html = report.body(result, "report_html")
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&amp;.py:2" in html
    assert "http" not in html.replace("http-equiv", "")
    markdown = report.body(result, "report_markdown")
    assert "| = | `other` in `b\\|'c.py:2`<br>`total` in `päck age/<script>alert(1)&.py:2` |" in markdown
    assert "In 1 commit." in markdown
    assert "- `broken.py:1`: " in markdown


def test_a_second_run_embeds_only_what_changed(report: Report, tmp_path: Path) -> None:
    repository = tmp_path / "code"
    repository.mkdir()
    for number in range(4):
        (repository / f"m{number}.py").write_text(FIRST.replace("* 2", f"* {number}"))
    assert statuses(report.run(repository), "embed") == {"succeeded": 4}
    again = report.run(repository)
    assert statuses(again, "embed") == {"cached": 4}
    assert again["nodes"]["html"]["status"] == "cached"
    (repository / "m1.py").write_text(COPY.replace("* 2", "* 7"))
    changed = report.run(repository)
    assert statuses(changed, "embed") == {"cached": 3, "succeeded": 1}
    assert statuses(changed, "symbols") == {"cached": 3, "succeeded": 1}
    (repository / "m3.py").write_text(COPY)  # but for its names, what m2.py holds
    assert statuses(report.run(repository), "embed") == {"cached": 4}


def test_the_report_says_what_is_the_same_and_shows_what_differs(report: Report, tmp_path: Path) -> None:
    repository = tmp_path / "code"
    repository.mkdir()
    long = "".join(f"    if items[{at}] > {at}:\n        result += items[{at}] * {at}\n" for at in range(40))
    for name, end in (("a", "return result * 2"), ("b", "raise LookupError(items)")):
        head = f'def {name}(items):\n    """Documented."""\n    result = 0\n'
        (repository / f"{name}.py").write_text(f"{head}{long}    {end}\n")
    for name in ("x", "y", "z"):
        (repository / f"{name}.py").write_text(COPY.replace("other", name))
    methods = "".join(f"    def {name}(self, a): ...\n" for name in ("one", "two", "three"))
    interface = f"class {{0}}(Base):\n{methods}"
    (repository / "i.py").write_text(
        "".join(interface.format(f"{name}") + "    x = 1\n" * 4 for name in "PQ")
    )
    git(repository, "init")
    git(repository, "add", "--all")
    git(repository, "commit", "--message", "first")
    result = report.run(repository)
    assert result["outputs"]["near_duplicates"] == 2  # three copies are one group; outlines are none
    html, markdown = (report.body(result, f"report_{kind}") for kind in ("html", "markdown"))
    assert "| = | `x` in `x.py:2`<br>`y` in `y.py:2`<br>`z` in `z.py:2` |" in markdown
    assert "| 0.9" in markdown  # what differs after the first window is not the same
    assert "1.000" not in markdown + html
    assert '<span class="removed">-     return result * 2' in html
    assert '<span class="added">+     raise LookupError(items)' in html
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True, check=True
    ).stdout
    assert head[:12] in html
    assert head[:12] in markdown
    assert 'href="#duplicates"' in html
    assert "approximate" in html
