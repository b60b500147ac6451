"""The templates that ship with Symphony, each on real input and on nonsense, without network."""

import asyncio
import csv
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from symphony.app import Symphony
from symphony.kit.template_library import LibraryEntry, all_templates, folders
from symphony.ports.runs import RunResult
from symphony.ports.values import ArtifactRef, Value
from symphony.workflow import builtin_catalog, check_file
from symphony.workflow.documents import format_named
from symphony.workflow.templates.making import made_workflow

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LIBRARY = {entry.name: entry for entry in all_templates(folders(None, Path("/")))}
TESTS = '''\
import os, sys

shaky = "" if int(os.environ["TRY"]) % 2 else "<failure message='even'/>"
open(os.environ["JUNIT"], "w").write(f"""<testsuite name="s">
<testcase classname="it" name="steady"/><testcase classname="it" name="shaky">{shaky}</testcase>
<testcase classname="it" name="broken"><error message="always | so"/></testcase></testsuite>""")
sys.exit(1)
'''


@dataclass
class Desk:
    """A folder with files, and a home; `use` makes a workflow of a template and runs it there."""

    folder: Path
    home: Path

    def write(self, name: str, body: str | bytes) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body.encode() if isinstance(body, str) else body)

    def git(self, *words: str) -> None:
        names = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
        identity = dict.fromkeys(names, "zoe@example.org")
        kept = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        subprocess.run(["git", *words], cwd=self.folder, check=True, capture_output=True, env=kept | identity)

    def commit(self, subject: str, body: str = "") -> None:
        self.write("changed.txt", subject)
        self.git("add", "-A")
        self.git("commit", "-m", f"{subject}\n\n{body}")

    def use(self, name: str, **params: Value) -> tuple[RunResult, dict[str, Any]]:
        template = LIBRARY[name].template
        assert template is not None
        assert template.check(params) == ()
        _, reading, report = made_workflow(
            template, params, builtin_catalog(), format_named("yaml"), name=name
        )
        assert report.errors == ()
        workflow = reading.workflow
        assert workflow is not None

        async def run() -> tuple[RunResult, dict[str, Any]]:
            async with Symphony.open(self.home) as symphony:
                handle = await symphony.start(workflow, {}, cwd=self.folder)
                result = await handle.result()
                read = symphony.artifacts.get
                outputs = {
                    key: read(value.digest).decode() if isinstance(value, ArtifactRef) else value
                    for key, value in result.outputs.items()
                }
                return result, outputs

        return asyncio.run(run())

    def get(self, name: str, **params: Value) -> dict[str, Any]:
        """The outputs of a run that succeeds."""
        result, outputs = self.use(name, **params)
        assert result.status == "succeeded", result.error
        return outputs


def rows_of(table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table)))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def desk(tmp_path: Path, home: Path) -> Desk:
    folder = tmp_path / "a føldér"
    folder.mkdir()
    return Desk(folder, home)


def test_ten_templates_ship() -> None:
    assert set(LIBRARY) == {
        "ask-docs", "changelog-draft", "convert-files", "csv-profile", "flaky-tests", "issue-duplicates",
        "link-check", "repo-census", "repo-report", "run-on-files",
    }  # fmt: skip


@pytest.mark.parametrize("entry", LIBRARY.values(), ids=lambda entry: entry.name)
def test_each_is_a_valid_workflow_and_tells_all_about_its_parameters(entry: LibraryEntry) -> None:
    _, report = check_file(entry.path, builtin_catalog())
    assert (report.errors, report.warnings) == ((), ())
    assert entry.template is not None
    assert len(entry.template.workflow.description) > 50
    assert entry.template.workflow.tags
    for one in entry.template.parameters.values():
        assert one.spec.description, one.name
        assert one.label, one.name
        assert one.examples or not one.required or one.spec.type.kind == "enum", one.name


def test_a_changelog_is_drafted_from_the_commits_since_the_last_tag(desk: Desk) -> None:
    desk.git("init", "-q", "-b", "main")
    assert "No changes" in desk.get("changelog-draft")["entry"]
    desk.commit("feat: very old")
    desk.git("tag", "v1.0.0")
    desk.commit("feat(api)!: new *door*", "BREAKING CHANGE: the old one is gone")
    desk.commit("Fix the | roof")
    desk.commit("Add ünïcode")
    desk.commit("chore: sweep -->")
    outputs = desk.get("changelog-draft", title="1.1.0")
    entry = outputs["entry"]
    assert (outputs["commits"], outputs["since"]) == (4, "v1.0.0")
    assert entry.index("### Breaking") < entry.index("new \\*door\\*") < entry.index("### Added")
    assert "- Add ünïcode (" in entry
    assert "- Fix the \\| roof (" in entry
    assert entry.count("-->") == 2
    assert "very old" not in entry
    assert "No changes since HEAD" in desk.get("changelog-draft", since="HEAD")["entry"]


@pytest.mark.parametrize("tag", ["v1--->", "v1--!><img/src=x>", "v1-->-->--", "v1>"])
def test_nothing_that_git_says_ends_a_comment_of_a_changelog(desk: Desk, tag: str) -> None:
    desk.git("init", "-q", "-b", "main")
    desk.commit("one")
    desk.git("tag", tag)
    desk.commit("chore: sweep ---> <b>&lt;</b> --!> -->")
    desk.commit("fix: `a` <script> ---> &amp;")
    entry = desk.get("changelog-draft")["entry"]
    comments = re.findall(r"<!--(.*?)--!?>", entry, re.DOTALL)
    assert len(comments) == 2
    assert "sweep" in comments[0]
    assert tag.replace(">", "&gt;") in comments[1]
    outside = re.sub(r"<!--.*?--!?>", "", entry, flags=re.DOTALL)
    assert "sweep" not in outside
    assert "- \\`a\\` \\<script\\> ---\\> \\&amp; (" in outside


def test_a_changelog_needs_a_repository_and_a_revision_that_is_there(desk: Desk) -> None:
    result, _ = desk.use("changelog-draft")
    assert result.error is not None
    assert result.error.code == "not-a-repository"
    desk.git("init", "-q")
    desk.commit("one")
    result, _ = desk.use("changelog-draft", since="nowhere")
    assert result.error is not None
    assert "nowhere" in result.error.message


def test_tests_that_do_not_always_end_the_same_way_are_found(desk: Desk) -> None:
    desk.write("it.py", TESTS)
    outputs = desk.get("flaky-tests", command=f"{sys.executable} -S it.py", runs=4, at_once=2)
    assert (outputs["flaky"], outputs["failing"]) == (["it::shaky"], ["it::broken"])
    assert "| it::shaky | 2 | 2 | P | F | P | F |" in outputs["report"]
    rows = rows_of(outputs["table"])
    assert [(row["test"], row["passed"], row["failed"]) for row in rows] == [
        ("it::steady", "4", "0"), ("it::shaky", "2", "2"), ("it::broken", "0", "4")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "failed", "says"),
    [
        ("test $TRY -ne 2 || { echo 'it broke'; exit 9; }", 1, "it broke"),
        ("no-such-program-here", 3, "no-such-program-here"),
        ("printf '<testsuites' > \"$JUNIT\"", 0, "results of 3 runs could not be read"),
        ("printf '\\377\\376\\0' ; exit 1", 3, "3 failed"),
        ("kill -9 $$", 3, "3 failed"),
    ],
)
def test_a_test_command_that_says_nothing_is_judged_by_its_status(
    desk: Desk, command: str, failed: int, says: str
) -> None:
    outputs = desk.get("flaky-tests", command=command, runs=3)
    assert outputs["runs_failed"] == failed
    assert says in outputs["report"]


def test_a_run_of_the_tests_that_does_not_end_is_cut_off(desk: Desk) -> None:
    outputs = desk.get("flaky-tests", command="test $TRY -eq 1 || sleep 60", runs=2, timeout="1s", at_once=2)
    assert "1 did not end in time" in outputs["report"]


def test_a_table_is_profiled(desk: Desk) -> None:
    lines = [f"{i};{i % 7};x{i}" for i in range(500)] + ["1;9999;|`y`", "lonely"]
    desk.write("my täble.csv", "id;n;name\n" + "\n".join(lines) + "\n")
    outputs = desk.get("csv-profile", file="my täble.csv")
    assert (outputs["rows"], outputs["problems"]) == (502, 1)
    assert "farthest outliers: 9999 (line 502)" in outputs["report"]
    assert "line 503: 1 field where the table has 3 columns" in outputs["report"]
    figures = rows_of(outputs["figures"])
    assert [(row["name"], row["type"]) for row in figures] == [
        ("id", "string"),
        ("n", "integer"),
        ("name", "string"),
    ]


@pytest.mark.parametrize(
    ("body", "says"), [("", "holds no table"), ("a,b\n", "0 rows, 2 columns"), ("\ufeffä\n1\n", "ä")]
)
def test_a_table_without_anything_is_profiled_too(desk: Desk, body: str, says: str) -> None:
    desk.write("t.csv", body)
    assert says in desk.get("csv-profile", file="t.csv")["report"]


@pytest.mark.parametrize("body", [b"\x7fELF\0", None])
def test_what_is_no_table_fails_clearly(desk: Desk, body: bytes | None) -> None:
    if body is not None:
        desk.write("t.csv", body)
    result, _ = desk.use("csv-profile", file="t.csv")
    assert result.error is not None
    assert result.error.code == "bad-input"
    assert "t.csv" in result.error.message


def test_issues_that_say_the_same_are_found_by_their_meaning(desk: Desk) -> None:
    issues = [
        {"number": 11, "title": "App crashes when opening a large file", "body": "A 2 GB log: out of memory",
         "url": "https://example.org/11", "state": "open"},
        {"number": 12, "title": "Typo in the | README", "body": None},
        {"number": 13, "title": "Crash on big files", "body": "A very large log runs out of memory"},
        {"number": 14, "title": "", "body": ""},
    ]  # fmt: skip
    desk.write("issues.json", json.dumps(issues))
    outputs = desk.get("issue-duplicates", file="issues.json")
    assert outputs["groups"] == [["11", "13"]]
    assert "[11](<https://example.org/11>) (open)" in outputs["report"]
    assert rows_of(outputs["table"])[0]["first"] == "11"
    desk.write("empty.csv", "number,title\n")
    assert desk.get("issue-duplicates", file="empty.csv")["pairs"] == 0
    desk.write("odd.json", '{"a": 1}')
    result, _ = desk.use("issue-duplicates", file="odd.json")
    assert result.error is not None
    assert "no list of issues" in result.error.message


def test_licences_and_notes_of_a_repository_are_counted(desk: Desk) -> None:
    word = "FIX" + "ME"
    desk.git("init", "-q")
    desk.write("LICENSE", (ROOT / "LICENSE").read_bytes())
    desk.write("a b/ünï.py", f"# SPDX-License-Identifier: MIT\n# {word}(zoë): a | b\n")
    desk.write("plain.go", "package main\n")
    desk.write("pic.png", b"\x89PNG\0")
    desk.write("ignored.py", f"# {word}: never seen\n")
    desk.write(".gitignore", "ignored.py\n")
    outputs = desk.get("repo-census")
    assert (outputs["files"], outputs["notes"]) == (4, 1)
    report = outputs["report"]
    assert "- LICENSE: Apache-2.0" in report
    assert "| MIT | 1 |" in report
    assert "1 source files name neither" in report
    assert "1 binary" in report
    assert f"| a b/ünï.py:2 | {word} | zoë | a \\| b |" in report
    assert rows_of(outputs["table"])[0]["who"] == "zoë"


def test_links_of_the_documentation_are_checked(desk: Desk) -> None:
    desk.write("docs/a.md", "# One\n[b](b%20c.md#two) [no](no.md) [o](#one) <https://example.org>\n")
    desk.write("docs/b c.md", "# Two\n![i](i.png)\n")
    desk.write("docs/bad.md", b"\xff\xfe\0")
    outputs = desk.get("link-check", folder="docs")
    assert (outputs["broken"], outputs["checked"]) == (2, 4)
    assert "| a.md:2 | `no.md` | there is no such file |" in outputs["report"]
    assert "bad.md" in outputs["report"]
    assert "`https://example.org`: a.md" in outputs["report"]
    own = desk.get("link-check", folder=str(ROOT / "docs"), exclude=["index.md"])
    assert own["broken"] == len([1 for line in own["report"].splitlines() if "generated/" in line])


def test_files_are_converted_and_problems_do_not_stop_the_others(desk: Desk) -> None:
    desk.write("in/t 1.csv", "a,b\n1,é\n")
    desk.write("in/deep/n.yaml", "a: [1, 2]\n")
    desk.write("in/bad.json", "{")
    desk.write("in/bin.csv", b"\0")
    outputs = desk.get("convert-files", folder="in", patterns=["**/*"], to="json")
    assert (outputs["converted"], outputs["failed"]) == (2, 2)
    assert json.loads((desk.folder / "converted/t 1.csv.json").read_bytes()) == [{"a": 1, "b": "é"}]
    assert json.loads((desk.folder / "converted/deep/n.yaml.json").read_bytes()) == {"a": [1, 2]}
    desk.write("in/p.md", "# T\n")
    assert desk.get("convert-files", folder="in", patterns=["*.md"], to="html", out="web")["converted"] == 1
    assert "<h1>T</h1>" in (desk.folder / "web/p.md.html").read_text(encoding="utf-8")
    result, _ = desk.use("convert-files", folder="in", patterns=["*.md"], to="html", out="../out")
    assert result.error is not None
    assert result.error.code == "path-escapes"


def test_a_command_runs_on_each_file_and_no_name_does_harm(desk: Desk) -> None:
    for name in ("in/a b.txt", "in/$(touch pwned);'.txt", "in/é.txt"):
        desk.write(name, name)
    command = 'test "$NAME" != é.txt || { echo "not this"; exit 4; }; wc -c < "$FILE" > "$OUT/$NAME.n"'
    outputs = desk.get("run-on-files", command=command, folder="in", patterns=["*.txt"], out="out", at_once=2)
    assert (outputs["files"], outputs["failed"]) == (3, 1)
    assert "Status 4." in outputs["report"]
    assert "    not this" in outputs["report"]
    assert sorted(os.listdir(desk.folder)) == ["in", "out"]
    assert len(os.listdir(desk.folder / "out")) == 2


def test_passages_that_answer_a_question_are_found(desk: Desk) -> None:
    desk.write("notes/cake.md", "# Cake\n\nMix flour, butter and eggs and bake it for an hour.\n")
    desk.write("notes/car.txt", "The engine needs new oil every ten thousand miles.\n")
    desk.write("notes/bad.md", b"\0\1")
    outputs = desk.get("ask-docs", question="How do I make a dessert?", folder="notes", passages=1)
    assert (outputs["places"], outputs["passages"]) == (["cake.md:3"], 2)
    assert "> Mix flour" in outputs["report"]
    assert "not read" in outputs["report"]


def test_a_repository_of_python_code_is_reported_on(desk: Desk) -> None:
    lines = ("total = 0", "for item in {0}:", "    if item > 3:", "        total += item * 2", "print(total)")
    body = "".join(f"    {line}\n" for line in (*lines, "return total"))
    desk.write("a.py", f"def first(items):\n{body.format('items')}")
    desk.write("b.py", f"def second(values):\n{body.format('values')}")
    desk.write("broken.py", "def (:\n")
    desk.git("init", "-q")
    desk.commit("all")
    outputs = desk.get("repo-report")
    assert (outputs["files"], outputs["near_duplicates"], outputs["unparsed"]) == (3, 1, 1)
    assert "first" in outputs["report"]


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("ask-docs", {"question": "why?"}), ("convert-files", {"patterns": ["**/*"], "to": "json"}),
        ("link-check", {}), ("repo-census", {}), ("repo-report", {}),
        ("run-on-files", {"command": "false", "patterns": ["*"]}),
    ],
)  # fmt: skip
def test_an_empty_folder_gives_an_empty_report(desk: Desk, name: str, params: dict[str, Value]) -> None:
    assert len(desk.get(name, **params)["report"]) > 20
