"""data.read, data.format, files.convert, markdown.html; data.group and data.range."""

from pathlib import Path
from typing import Any

import pytest

from symphony.commons.filesystem import PathEscapes
from symphony.kit.errors import InputRefused


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", "x,y\n1,é\n", [{"x": 1, "y": "é"}]),
        ("a.TSV", "x\ty\n1\t2\n", [{"x": 1, "y": 2}]),
        ("a.json", '{"a": [1, null, 2.5]}', {"a": [1, None, 2.5]}),
        ("a.jsonl", '{"a": 1}\n\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        ("a.yml", "on: no\nlist: [1, 0x10]\n", {"on": "no", "list": [1, 16]}),
        ("a.toml", "d = 2024-01-02\nt = 10:00:00\n[x]\ny = 1\n",
         {"d": "2024-01-02", "t": "10:00:00", "x": {"y": 1}}),
        ("a.toml", ("d = 2024-01-02t10:00:00.123456789z\n"
         "t = [10:00:00.0000007]\nu = 2024-01-02 10:00:00.12345678+01:00\n"),
         {"d": "2024-01-02T10:00:00.123456789+00:00", "t": ["10:00:00.0000007"],
          "u": "2024-01-02T10:00:00.12345678+01:00"}),
        ("a.toml", ("# it's 10:00:00.1234567\n"
         "a = \"\"\"x\"\"\"\"\nb = '10:00:00.1234567'\nc = 10:00:00.1234560\n"),
         {"a": 'x"', "b": "10:00:00.1234567", "c": "10:00:00.123456"}),
        ("empty.csv", "", []),
    ],
)  # fmt: skip
def test_a_file_is_read_by_what_its_ending_says(
    run: Any, tmp_path: Path, name: str, text: str, expected: Any
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert run("data.read", path=Path(name))["result"] == expected


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("a.txt", b"x", "does not name a format"),
        ("a.json", b"{", "a.json: line 1"),
        ("a.yaml", b"a: [\n", "a.yaml: line"),
        ("a.yaml", b"a: 1\na: 2\n", "line 2"),
        ("a.toml", b"a = \n", "a.toml: line 1"),
        ("a.toml", b"a = 1\nb = 2024-13-01T10:00:00.123456789Z\n", "a.toml: line 2"),
        ("a.toml", b"a = 1\nb = 10:00:00.123456789Z\n", "a.toml: line 2"),
        ("a.csv", b"a\0", "not text"),
    ],
)
def test_what_cannot_be_read_is_told_with_file_and_line(
    run: Any, tmp_path: Path, name: str, body: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(body)
    with pytest.raises(InputRefused, match=message):
        run("data.read", path=Path(name))


@pytest.mark.parametrize("kind", ["json", "yaml", "toml"])
def test_what_is_written_is_read_back(run: Any, tmp_path: Path, kind: str) -> None:
    data = {"a": [1, 2.5, True, "é\n"], "b": {"c d": "no"}}
    (tmp_path / f"a.{kind}").write_text(run("data.format", data=data, format=kind)["text"], encoding="utf-8")
    assert run("data.read", path=Path(f"a.{kind}"))["result"] == data


ORDERED = {
    "zip": 1,
    "name": {"y": [{"q": 1, "a": 2}], "b": {"d": 1, "c": {}}},
    "age": 3,
    "rows": [{"z": 1, "a": 2}],
}


@pytest.mark.parametrize("kind", ["json", "yaml", "toml"])
def test_keys_keep_their_order_in_every_format(run: Any, tmp_path: Path, kind: str) -> None:
    (tmp_path / f"a.{kind}").write_text(
        run("data.format", data=ORDERED, format=kind)["text"], encoding="utf-8"
    )
    assert repr(run("data.read", path=Path(f"a.{kind}"))["result"]) == repr(ORDERED)
    for to in ("json", "yaml", "toml"):
        run("files.convert", path=Path(f"a.{kind}"), to=to, target=f"b.{to}")
        assert repr(run("data.read", path=Path(f"b.{to}"))["result"]) == repr(ORDERED)


def test_tables_keep_the_order_of_their_columns(run: Any, tmp_path: Path) -> None:
    rows = [{"zip": 1, "name": "x", "age": 3}, {"zip": 2, "name": "y", "age": 4}]
    for kind in ("csv", "jsonl"):
        text = run("data.format", data=rows, format=kind)["text"]
        (tmp_path / f"a.{kind}").write_text(text, encoding="utf-8")
        assert repr(run("data.read", path=Path(f"a.{kind}"))["result"]) == repr(rows)


def test_queries_and_parsers_keep_the_order_of_keys(run: Any) -> None:
    text = '{"zip": 1, "name": {"y": 2, "b": 3}, "age": 3}'
    parsed = run("json.parse", text=text)["result"]
    assert list(parsed) == ["zip", "name", "age"]
    for query in ("@", "{zip: zip, name: name, age: age}", "[@][?zip == `1`] | [0]"):
        found = run("json.query", data=parsed, expression=query)["result"]
        assert repr(found) == repr(parsed), query
    assert run("json.query", data=parsed, expression="keys(@)")["result"] == ["zip", "name", "age"]


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        ([1], "toml", "holds a map"), ({"a": {"b": [None]}}, "toml", "one at .a.b.0"),
        ({}, "csv", "holds a list"), (1, "jsonl", "holds a list"), ({"a": b"x"}, "json", "bytes"),
    ],
)  # fmt: skip
def test_data_that_a_format_cannot_hold_is_refused(run: Any, data: Any, kind: str, message: str) -> None:
    with pytest.raises(InputRefused, match=message):
        run("data.format", data=data, format=kind)


def test_a_file_is_converted_or_the_problem_is_told(run: Any, tmp_path: Path) -> None:
    (tmp_path / "t 1.csv").write_text("a\n1\n", encoding="utf-8")
    done = run("files.convert", path=Path("t 1.csv"), to="jsonl", target="out/t.jsonl")
    assert (done["problem"], done["size"]) == (None, 8)
    assert (tmp_path / "out/t.jsonl").read_text() == '{"a":1}\n'
    for path, to in (("t 1.csv", "toml"), ("t 1.csv", "html"), ("nowhere.md", "html"), ("x.png", "json")):
        done = run("files.convert", path=Path(path), to=to, target="out/x")
        assert done["problem"]
        assert done["target"] is None
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["t.jsonl"]
    with pytest.raises(PathEscapes):
        run("files.convert", path=Path("t 1.csv"), to="json", target="../t.json")


def test_markdown_becomes_html_in_which_nothing_runs(run: Any) -> None:
    text = "# A & B\n\n<script>x</script> [a](javascript:x) [b](https://e.org)\n\n| a |\n|---|\n| ~~b~~ |\n"
    html = run("markdown.html", text=text, title="<T>")["html"]
    assert "<script" not in html
    assert 'href="javascript' not in html
    assert '<a href="https://e.org">b</a>' in html
    assert "<td><s>b</s></td>" in html
    assert "<title>&lt;T&gt;</title>" in html
    assert "<script>x</script>" in run("markdown.html", text=text, raw=True)["html"]


def test_a_line_break_is_the_one_tag_of_markdown_that_is_none_of_its_text(run: Any) -> None:
    found = run("markdown.html", text=r"a<br>b<BR />c `<br>` <br x> <i>\\<br>d \<br>")["html"]
    assert found == (
        "<p>a<br />\nb<br />\nc <code>&lt;br&gt;</code> &lt;br x&gt; &lt;i&gt;\\<br />\nd &lt;br&gt;</p>\n"
    )


def test_elements_with_one_key_stand_together_in_order(run: Any) -> None:
    items = [{"k": 1, "n": "a"}, {"k": "1", "n": "b"}, {"k": 1, "n": "c"}]
    assert run("data.group", items=items, key="item.k")["result"] == [
        {"key": 1, "items": [items[0], items[2]], "count": 2}, {"key": "1", "items": [items[1]], "count": 1}
    ]  # fmt: skip
    assert run("data.range", count=3)["result"] == [1, 2, 3]
    with pytest.raises(InputRefused, match="count"):
        run("data.range", count=-1)
