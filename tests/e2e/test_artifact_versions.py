"""`symphony artifacts`: versions of names as they are typed."""

from pathlib import Path

import pytest
from tests.support.commands import CommandLine

pytestmark = pytest.mark.slow

WORKFLOW = """
name: Words
inputs: {text: {type: string, default: one}}
nodes:
  page:
    operator: text.render
    inputs: {text: "# {{ word }}\\n", data: {word: "${{ inputs.text }}"}}
    artifact: {name: report, content_type: text/markdown}
outputs: {page: "${{ page.text }}"}
"""


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


def test_versions_are_put_listed_compared_tagged_and_got(line: CommandLine) -> None:
    digests = []
    for text in ("one\ntwo\n", "one\n2\n", "one\ntwo\n"):
        line.write("notes.md", text)
        digests.append(line.type("artifacts", "put", "notes.md", "--note", f"{len(digests)}")[0].strip())
    assert digests[0] == digests[2] != digests[1]
    logged = line.json("artifacts", "log", "notes.md")
    assert [(one["version"], one["digest"], one["note"]) for one in logged] == [
        (3, digests[2], "2"), (2, digests[1], "1"), (1, digests[0], "0"),
    ]  # fmt: skip
    assert line.type("artifacts", "get", "notes.md@2")[0] == "one\n2\n"
    out, _ = line.type("artifacts", "diff", "notes.md@1", "notes.md@2", status=1)
    assert out.splitlines()[2:] == ["@@ -1,2 +1,2 @@", " one", "-two", "+2"]
    assert line.type("artifacts", "diff", "notes.md@1", "notes.md@3") == ("", "")
    assert line.json("artifacts", "diff", "notes.md@1", digests[1][:10], status=1)["kind"] == "text"
    line.type("artifacts", "tag", "notes.md@2", "best")
    assert line.json("artifacts", "tag", "notes.md@1", "best")["moved_from"] == {"best": 2}
    assert line.json("artifacts", "show", "notes.md@best")["version"]["version"] == 1
    line.type("artifacts", "untag", "notes.md", "best")
    _, err = line.type("artifacts", "get", "notes.md@best", status=2)
    assert "it has no tags" in err
    _, err = line.type("artifacts", "get", "notes.md@4", status=2)
    assert "its newest version is 3" in err
    assert "log notes.md" in err
    assert Path(line.type("artifacts", "open", "notes.md@2")[0].strip()).name == "notes.md"


def test_runs_make_versions_and_one_that_makes_nothing_new_makes_none(line: CommandLine) -> None:
    line.write("words.yaml", WORKFLOW)
    for text in ("one", "two", "two", "one"):
        line.type("run", "words.yaml", "--quiet", "--input", f"text={text}")
    logged = line.json("artifacts", "log", "report")
    assert [one["version"] for one in logged] == [3, 2, 1]
    assert all(one["run_id"] and one["node"] == "page" for one in logged)
    assert len({one["run_id"] for one in logged}) == 3
    assert line.type("artifacts", "get", "report@2")[0] == "# two\n"


def test_names_that_cannot_be_given_are_refused_with_what_to_do(line: CommandLine) -> None:
    line.write("logo@2x.txt", "x")
    _, err = line.type("artifacts", "put", "logo@2x.txt", status=2)
    assert "report@2 is version 2 of report" in err
    line.type("artifacts", "put", "logo@2x.txt", "--name", "logo")
    for status, *words in ((1, "--tag", "3"), (1, "--tag", "latest"), (2, "--parent", "nothing")):
        line.type("artifacts", "put", "logo@2x.txt", "--name", "logo", *map(str, words), status=int(status))
    assert len(line.json("artifacts", "log", "logo")) == 1
    line.write("words.yaml", WORKFLOW.replace("name: report", "name: report@2"))
    told, _ = line.type("validate", "words.yaml", status=2)
    assert "report@2 is version 2 of report" in told


def test_lineage_leads_from_a_file_to_what_was_made_of_it_and_back(line: CommandLine) -> None:
    line.write(
        "chain.yaml",
        """
name: Chain
inputs: {data: {type: string}}
nodes:
  page:
    command: echo "# $DATA"
    inputs: {data: "${{ inputs.data }}"}
    artifact: {name: page, content_type: text/markdown, port: stdout}
  words:
    operator: text.split
    inputs: {text: "${{ page.stdout }}", separator: " "}
  last:
    operator: text.render
    inputs: {text: "{{ n }} words", data: {n: "${{ size(words.result) }}"}}
    artifact: {name: count, content_type: text/plain}
outputs: {n: "${{ last.text }}"}
""",
    )
    line.write("data.txt", "banana data")
    line.type("artifacts", "put", "data.txt", "--note", "from the shelf")
    line.type("run", "chain.yaml", "--quiet", "--input-file", "data=data.txt")
    line.write("copy.txt", "a copy")
    line.type("artifacts", "put", "copy.txt", "--parent", "count")
    tree = line.json("artifacts", "lineage", "copy.txt", "--up")["up"]
    found = []
    while tree["under"]:
        (under,) = tree["under"]
        tree = under["artifact"]
        found.append((under["link"], tree["version"]["name"]))
    assert found == [("parent", "count"), ("before", "page"), ("input", "data.txt")]
    out, _ = line.type("artifacts", "lineage", "data.txt", "--down")
    told = [text.split(" made ")[1].split("@")[0] for text in out.splitlines() if " made " in text]
    assert told == ["page", "count", "copy.txt"]
    line.type("runs", "delete", "last", "--yes")
    assert "data.txt" in line.type("artifacts", "lineage", "data.txt")[0]


def test_numbers_that_json_does_not_have_are_named(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    for body in ('{"a": [NaN, 1e999], "b": 1}', '{"a": [1, 2], "b": -Infinity}'):
        line.write("odd.json", body)
        line.type("artifacts", "put", "odd.json")
    found = line.json("artifacts", "diff", "odd.json@1", "odd.json@2", status=1)
    assert {one["place"]: (one["a"], one["b"]) for one in found["changes"]} == {
        "a[0]": ("NaN", 1), "a[1]": ("Infinity", 2), "b": (1, "-Infinity"),
    }  # fmt: skip


def test_a_dash_as_output_is_stdout(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    line.write("a.txt", "some text")
    line.type("artifacts", "put", "a.txt")
    assert line.type("artifacts", "get", "a.txt", "--output", "-") == ("some text", "")
    assert '"text":"some text"' in line.type("artifacts", "export", "-o", "-")[0]
    assert not (tmp_path / "-").exists()


def test_where_no_index_can_be_written_a_data_set_is_complete(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    line.write("a.txt", "some text")
    line.type("artifacts", "put", "a.txt")
    (line.home / "artifacts" / "search").symlink_to("/proc/none")
    assert '"text":"some text"' in line.type("artifacts", "export")[0]


def test_a_file_whose_name_cannot_be_that_of_an_artifact_needs_another_one(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    for name in ("a@b.txt", "two\nlines.txt"):
        line.write(name, "some text")
        assert "choose one with --name" in line.type("artifacts", "put", name, status=2)[1]
        line.type("artifacts", "put", name, "--name", "good")
    assert line.type("artifacts", "get", "good")[0] == "some text"


def test_a_data_set_is_not_written_in_another_format_than_its_extension_says(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    assert "add --format" in line.type("artifacts", "export", "-o", "set.csv", status=2)[1]
    assert not (tmp_path / "set.csv").exists()
    line.type("artifacts", "export", "-o", "set.csv", "--format", "jsonl")
    line.type("artifacts", "export", "-o", "set.txt")


def test_an_artifact_with_many_names_and_origins_is_shown_briefly(tmp_path: Path) -> None:
    line = CommandLine(tmp_path)
    line.write(
        "same.yaml",
        """
name: Same
nodes:
  numbers: {operator: data.range, inputs: {count: 1200}}
  each:
    operator: text.render
    for_each: numbers.result
    inputs: {text: no findings, data: {n: "${{ item }}"}}
    artifact: {name: "findings/${{ string(item) }}", content_type: text/plain}
""",
    )
    line.type("run", "same.yaml", "--quiet")
    for words in (("list",), ("search", "findings"), ("gc", "--dry-run"), ("show", "findings/7")):
        out, _ = line.type("artifacts", *words)
        assert " more" in out, words
        assert len(out) < 9_000, words
    assert "made by 995 more steps" in line.type("artifacts", "lineage", "findings/7", "--up")[0]
    assert len(line.json("artifacts", "list")[0]["names"]) == 1000


def test_what_a_command_prints_is_stored_if_it_succeeds(line: CommandLine) -> None:
    put = ("artifacts", "put", "--from-command", "--name", "dump", "--")
    assert "dump@1" in line.type(*put, "sh", "-c", "echo whole")[1]
    for script, how in (("echo half; exit 3", "status 3"), ("echo half; kill -9 $$", "signal 9")):
        _, said = line.type(*put, "sh", "-c", script, status=1)
        assert f"sh {'ended with' if '3' in how else 'was ended by'} {how}: nothing was stored" in said
    assert "no-such-program cannot be run" in line.type(*put, "no-such-program", status=1)[1]
    assert line.type("artifacts", "get", "dump")[0] == "whole\n"
    assert [one["version"] for one in line.json("artifacts", "log", "dump")] == [1]
    assert "--from-command" in line.type("artifacts", "put", "a", "b", status=2)[1]


def test_a_pin_holds_one_content_under_all_its_names_and_is_shown(line: CommandLine) -> None:
    for name, text in (("report", "first"), ("copy", "first"), ("report", "second")):
        line.type("artifacts", "put", str(line.write("a.txt", text)), "--name", name)
    line.type("artifacts", "pin", "report@1")
    pinned = {one: line.json("artifacts", "show", one)["pinned"] for one in ("report@1", "copy", "report")}
    assert pinned == {"report@1": True, "copy": True, "report": False}
    assert "pinned   it stays" in line.type("artifacts", "show", "copy")[0]
    line.type("artifacts", "unpin", "copy")
    assert not line.json("artifacts", "show", "report@1")["pinned"]
