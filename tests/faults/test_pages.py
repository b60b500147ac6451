"""Pages of documentation: anchors as GitHub makes them, and reading that takes no longer than it must."""

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from symphony.kit import pages
from symphony.kit.html_tags import start_tags
from symphony.kit.slugs import Slugs, github_slug


def of_page(folder: Path, name: str, text: str) -> pages.PageLinks:
    (folder / name).write_text(text, encoding="utf-8")
    context: Any = SimpleNamespace(cwd=folder)
    return pages.links(Path(name), context)  # type: ignore[return-value]


def broken(folder: Path, text: str) -> list[str]:
    page = of_page(folder, "p.md", text)
    context: Any = SimpleNamespace(cwd=folder, cancelled=lambda: False)
    return [one["target"] for one in pages.check(folder, [dict(page)], context)["broken"]]  # type: ignore[list-item]


@pytest.mark.slow
def test_headings_with_marks_have_the_anchors_that_github_makes(fault: Any) -> None:
    assert fault("docs-anchor-marks").run("w.yaml")["outputs"] == {"broken": []}


@pytest.mark.parametrize(
    ("heading", "slug"),
    [
        ("हिन्दी में", "हिन्दी-में"),
        ("ภาษาไทย", "ภาษาไทย"),
        ("தமிழ் மொழி", "தமிழ்-மொழி"),
        ("שָׁלוֹם", "שָׁלוֹם"),
        ("Cafe\u0301 au lait", "cafe\u0301-au-lait"),
        ("⚠\ufe0f Warning", "\ufe0f-warning"),
        ("1\ufe0f\u20e3 One", "1\ufe0f\u20e3-one"),
        ("🚀 Start", "-start"),
        ("👨\u200d💻 Dev", "-dev"),
        ("CO² and ½", "co-and-"),
        ("x₂ ① Ⅷ Ⓐ", "x--ⅷ-ⓐ"),
        ("٣ numbers", "٣-numbers"),
        ("snake_case‿tie", "snake_case‿tie"),
        ("a – b — c", "a--b--c"),
        ("What's `new`? (1.0)", "whats-new-10"),
        ("tab\there\u00a0too", "tabheretoo"),
        ("C++ & C#", "c--c"),
        ("中文 标题：一", "中文-标题一"),
        ("ÉCOLE ΑΘΗΝΑ", "école-αθηνα"),
    ],
)
def test_a_slug_keeps_letters_marks_and_digits(heading: str, slug: str) -> None:
    assert github_slug(heading.replace("`", "")) == slug


def test_headings_that_are_alike_are_counted_as_github_and_python_markdown_count() -> None:
    slugs = Slugs()
    found = [slugs.of(text, text, text) for text in ("Foo", "Foo", "foo-1", "Foo", "", "")]
    assert [one[0] for one in found] == ["foo", "foo-1", "foo-1-1", "foo-2", "", "-1"]
    assert [one[1] for one in found] == ["foo", "foo_1", "foo-1", "foo_2", "_1", "_2"]


def test_links_lead_to_headings_with_images_markup_and_ids(tmp_path: Path) -> None:
    text = (
        "# ![logo](l.png) Features\n\n## <b>Bold</b> *em* [link](#bold-em-link) `code_x`\n\n"
        "<a id='foo'></a>\n\n## Foo\n\n## Foo\n\n### Named {#own}\n\nTwo\nlines\n---\n\n"
        "[1](#-features) [2](#bold-em-link-code_x) [3](#foo) [4](#foo-1) [5](#own) [6](#twolines) [7](#no)\n"
    )
    (tmp_path / "l.png").touch()
    assert broken(tmp_path, text) == ["#bold-em-link", "#no"]


def test_cells_of_tables_hold_links_of_their_own(tmp_path: Path) -> None:
    text = (
        "text\n| a [x](1) | b |\n|---|:-:|\n"
        "| [p](2) `|` | ![i](3) | [gone](4)\n| r \\| [s](5) |\n\n[e](6)\n\n"
        "> a|b\n> -|-\n> [x](7)|`z\n> c`|d\n"
    )
    found = of_page(tmp_path, "t.md", text)["links"]
    assert [(one["target"], one["line"]) for one in found] == [
        ("1", 2), ("2", 4), ("5", 5), ("6", 7), ("7", 11)
    ]  # fmt: skip


def test_html_is_read_as_browsers_read_it(tmp_path: Path) -> None:
    text = (
        "<!--> <a href=1>x</a> <!-- <a href=no> --!> <!-- > <a href=no> --> <A HREF='2' href=no\nid=i/x>\n"
        "<script>'<a href=no>'</SCRIPT ><a\nhref = \"3&amp;4\">b</a><br/><img src=5 alt='a>b'/>"
        "<? <a href=no>\n"
        "<title><a href=no></title><a href=&#99999999999999999999999999;>c</a>" + f"<a href=&#{'9' * 5000};>"
        "<a name=n href=6><a href='7"
    )
    found = of_page(tmp_path, "p.html", text)
    assert [(one["target"], one["line"]) for one in found["links"]][:4] == [
        ("1", 1),
        ("2", 1),
        ("3&4", 3),
        ("5", 4),
    ]
    assert found["links"][-1]["target"] == "6"
    assert "no" not in [one["target"] for one in found["links"]]
    assert found["anchors"] == ["i/x", "n"]
    assert [tag.name for tag in start_tags("a < b <1> <b <c> </d> <e")] == ["b"]


HOSTILE: dict[str, Callable[[int], str]] = {
    "comments": lambda n: "<!--\n" * n,
    "comments in text": lambda n: "a <!-- " * n,
    "comments in blocks": lambda n: "<!-- a\n\n" * n,
    "comments under text": lambda n: "x\n<!--\n\n" * n,
    "comments in cells": lambda n: "|a|\n|-|\n" + "<!--|\n" * n,
    "blocks of html": lambda n: "<tr id=a>\n\n" * n,
    "wide tables": lambda n: "|" + "a|" * (n // 8) + "\n|" + "-|" * (n // 8) + "\n" + "|x|\n" * n,
    "headings": lambda n: "# a\n" * (n // 4),
    "headings of their own": lambda n: "".join(f"# a{i}\n" for i in range(n // 4)),
    "blanks in a heading": lambda n: "# a" + " " * n + "b" + " #" * n + "x",
    "braces in a heading": lambda n: "# a" + " {#a" * n,
    "a paragraph": lambda n: "ab " * n,
    "open tags": lambda n: "<a " * n,
    "open quotes": lambda n: "<a x=\"<a y='" * n,
    "open scripts": lambda n: "<script>" * n,
    "entities": lambda n: "<a href='" + "&#" * n + "'>",
    "declarations": lambda n: "<!x <?x </x " * n,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
def test_reading_a_page_takes_time_in_proportion_to_its_size(kind: str, tmp_path: Path) -> None:
    make = HOSTILE[kind]
    context: Any = SimpleNamespace(cwd=tmp_path)

    def seconds(size: int) -> float:
        for name in ("p.md", "p.html"):
            (tmp_path / name).write_text(make(size))
        fastest = float("inf")
        for _ in range(2):
            begin = time.process_time()  # what others use of the machine does not count
            for name in ("p.md", "p.html"):
                pages.links(Path(name), context)
            pages.passages(Path("p.md"), context, chars=100)
            fastest = min(fastest, time.process_time() - begin)
        return fastest

    size = 1_000
    while seconds(size) < 0.02 and size < 200_000:
        size *= 2
    tries = []
    for _ in range(3):  # a square is one in every try; noise is not
        tries.append((seconds(size), seconds(2 * size), seconds(4 * size)))
        if tries[-1][2] < 9 * tries[-1][0]:
            return
    pytest.fail(f"{kind}: {tries} s; the square would be 16")
