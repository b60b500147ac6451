"""junit.read, code.census, docs.links, docs.check, docs.passages and issues.read."""

import json
from pathlib import Path
from typing import Any

import pytest

from symphony.kit.errors import InputRefused

JUNIT = """<?xml version="1.0"?>
<testsuites><testsuite name="outer"><testsuite name="s">
<testcase classname="c" name="ok" time="1,000.5"/>
<testcase classname="c" name="bad"><failure message="no">trace</failure></testcase>
<testcase name="broken"><error>  why  </error></testcase>
<testcase classname="c" name="not" time="x"><skipped message="later"/></testcase>
</testsuite></testsuite></testsuites>"""


def test_results_of_tests_are_read_from_nested_suites(run: Any) -> None:
    found = run("junit.read", text=JUNIT, label="3")
    assert [(t["id"], t["status"], t["message"], t["seconds"]) for t in found["tests"]] == [
        ("c::ok", "passed", "", 1000.5), ("c::bad", "failed", "no", 0.0), ("broken", "error", "why", 0.0),
        ("c::not", "skipped", "later", 0.0),
    ]  # fmt: skip
    assert (found["passed"], found["failed"], found["skipped"], found["tests"][0]["suite"]) == (1, 2, 1, "s")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<testsuites>", "input text:1:13 is not XML"),
        ("<html/>", "holds html"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><testsuite/>', "document type"),
        ("", "is not XML"),
    ],
)
def test_what_holds_no_results_is_refused(run: Any, text: str, message: str) -> None:
    with pytest.raises(InputRefused, match=message):
        run("junit.read", text=text)


def test_missing_results_may_be_none(run: Any, tmp_path: Path) -> None:
    assert run("junit.read", path=Path("nowhere.xml"), on_missing="empty")["found"] is False
    assert run("junit.read", text=" \n", on_missing="empty")["tests"] == []


def test_notes_and_licences_are_found_in_comments(run: Any, tmp_path: Path) -> None:
    word = "TO" + "DO"
    (tmp_path / "a.py").write_text(
        f"# SPDX-License-Identifier: MIT\n# Copyright (c) 2020 Zoë\nx = '{word}'\n"
        f"y = 1  # {word}(ann): mend it\n/* {word} later */\n{word}: in a text\nMY{word}S = 1 # no\n",
        encoding="utf-8",
    )
    found = run("code.census", path=Path("a.py"))["census"]
    assert [(n["line"], n["who"], n["text"]) for n in found["notes"]] == [
        (4, "ann", "mend it"), (5, "", "later"), (6, "", "in a text")
    ]  # fmt: skip
    assert (found["spdx"], found["copyright"], found["kind"], found["source"]) == (
        "MIT", ["Copyright (c) 2020 Zoë"], "text", True
    )  # fmt: skip
    with pytest.raises(InputRefused, match="no word"):
        run("code.census", path=Path("a.py"), words=["(.*"])


@pytest.mark.parametrize(
    ("name", "body", "kind", "licence"),
    [
        ("LICENSE", b"Apache License\n   Version 2.0, January 2004", "text", "Apache-2.0"),
        (
            "COPYING.txt",
            b"Permission is hereby granted, free of charge, ... without restriction",
            "text",
            "MIT",
        ),
        ("licence.md", b"ask me", "text", None),
        ("a.bin", b"\0\1", "binary", None),
        ("big.c", b"x" * (2 * 1024 * 1024 + 1), "large", None),
        ("gone.c", None, "unreadable", None),
        ("empty.c", b"", "text", None),
    ],
)
def test_files_of_every_kind_are_told(
    run: Any, tmp_path: Path, name: str, body: bytes | None, kind: str, licence: str | None
) -> None:
    if body is not None:
        (tmp_path / name).write_bytes(body)
    found = run("code.census", path=Path(name))["census"]
    assert (found["kind"], found["licence"]) == (kind, licence)


PAGE = """# Überschrift: one & `two`

See [a](b%20c.md#here), [x](#überschrift-one--two) and
![pic](img.png) <https://e.org> [r][ref].

## Again {#own}
## Again

```
[not](a-link.md)
```
<a name="old" href="gone.html">x</a>

[ref]: /b%20c.md?x=1#nope
"""


def test_links_anchors_and_what_is_wrong_with_them(run: Any, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text(PAGE, encoding="utf-8")
    (tmp_path / "docs/b c.md").write_text(
        "# Here\n[up](../../out.md) [dir](../docs) [](a.md#own)\n", encoding="utf-8"
    )
    (tmp_path / "b c.md").write_text("# Other\n", encoding="utf-8")
    (tmp_path / "bad.md").write_bytes(b"\xff\xfe\0")
    names = ["docs/a.md", "docs/b c.md", "b c.md", "bad.md"]
    pages = [run("docs.links", path=Path(name), name=name)["page"] for name in names]
    assert [(link["target"], link["line"]) for link in pages[0]["links"]] == [
        ("b%20c.md#here", 3), ("#%C3%BCberschrift-one--two", 3), ("img.png", 4), ("https://e.org", 4),
        ("/b%20c.md?x=1#nope", 4), ("gone.html", 12),
    ]  # fmt: skip
    assert {
        "überschrift-one--two",
        "uberschrift-one-two",
        "own",
        "again",
        "again-1",
        "again_1",
        "old",
    } <= set(pages[0]["anchors"])
    found = run("docs.check", root=tmp_path, pages=pages)
    assert [(b["file"], b["line"], b["target"], b["why"]) for b in found["broken"]] == [
        ("docs/a.md", 4, "img.png", "there is no such file"),
        ("docs/a.md", 4, "/b%20c.md?x=1#nope", "the page has no anchor #nope"),
        ("docs/a.md", 12, "gone.html", "there is no such file"),
        ("docs/b c.md", 2, "../../out.md", "it leads out of the folder"),
    ]  # fmt: skip
    assert [(e["target"], e["files"]) for e in found["external"]] == [("https://e.org", ["docs/a.md"])]
    assert found["unreadable"] == ["bad.md"]
    with pytest.raises(InputRefused, match="input pages"):
        run("docs.check", root=tmp_path, pages=[1])


def test_pages_of_html_have_links_and_anchors_too(run: Any, tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        "<p id=top1>\n<a href='#top1'>x</a><img src=no.png alt=y>", encoding="utf-8"
    )
    page = run("docs.links", path=Path("a.html"))["page"]
    assert page["anchors"] == ["top1"]
    assert [(link["target"], link["line"], link["image"]) for link in page["links"]] == [
        ("#top1", 2, False), ("no.png", 2, True)
    ]  # fmt: skip


def test_passages_keep_paragraphs_whole_and_know_their_headings(run: Any, tmp_path: Path) -> None:
    text = (
        "intro\n\n# A\n\none\ntwo\n\n## B\n\n```\n# no heading\n\nstill code\n```\n\n"
        + "word " * 60
        + "\n\n# C\n"
    )
    (tmp_path / "a.md").write_text(text, encoding="utf-8")
    found = run("docs.passages", path=Path("a.md"), chars=100)
    assert [(p["line"], p["heading"]) for p in found["passages"][:3]] == [(1, ""), (5, "A"), (10, "A › B")]
    assert found["passages"][2]["text"] == "```\n# no heading\n\nstill code\n```"
    assert all(len(p["text"]) <= 100 for p in found["passages"])
    assert found["texts"][1] == "A\none\ntwo"
    (tmp_path / "b").write_bytes(b"\0")
    assert "no text" in run("docs.passages", path=Path("b"))["problem"]
    assert run("docs.passages", path=Path("gone"))["passages"] == []
    with pytest.raises(InputRefused, match="chars"):
        run("docs.passages", path=Path("a.md"), chars=1)


def test_issues_are_read_from_what_trackers_export(run: Any, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"number": 7, "title": "T", "body": None}, {"title": " "}]))
    (tmp_path / "b.json").write_text(json.dumps({"total": 1, "issues": [{"key": "K-1", "summary": "S"}]}))
    (tmp_path / "c.csv").write_text("ID,Summary,Description\n1,a,b\n", encoding="utf-8")
    found = run("issues.read", path=Path("a.json"))
    assert found["issues"] == [{"id": "7", "title": "T", "body": "", "state": "", "url": ""}]
    assert (found["texts"], found["skipped"]) == (["T"], 1)
    assert run("issues.read", path=Path("b.json"))["issues"][0]["id"] == "K-1"
    assert run("issues.read", path=Path("c.csv"))["texts"] == ["a\nb"]
    (tmp_path / "d.json").write_text("[]")
    assert run("issues.read", path=Path("d.json"))["issues"] == []


@pytest.mark.parametrize(
    ("text", "inputs", "message"),
    [
        ('{"a": 1}', {}, "no list"), ("[1]", {}, "element 0 is no map"),
        ('[{"x": 1}]', {}, "looks like a title"),
        ('[{"title": 1}]', {"body_field": "text"}, "no field 'text'"),
    ],
)  # fmt: skip
def test_what_holds_no_issues_is_refused(
    run: Any, tmp_path: Path, text: str, inputs: Any, message: str
) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputRefused, match=message):
        run("issues.read", path=Path("a.json"), **inputs)
