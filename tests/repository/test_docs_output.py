"""What a page shows is compared with what a run prints: what may differ, and how a page is rewritten."""

from pathlib import Path

import pytest
from tests.support.pages import (
    Reader,
    aligned,
    anchors,
    comparable,
    dead_links,
    differences,
    hand_shortened,
    rewritten,
    screen,
    shortened,
    unnamed_files,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("succeeded in 12 ms: 3 nodes", "succeeded in 1.4 s: 3 nodes"),
        (
            "run 01a22e62-b8f6-7f9d-9f22-18ee4cccc0e6",
            "run 01a22e62-baef-70d0-a6a8-821570d559bd",
        ),
        ("1 node; run words-1 (18ee4ccc)", "1 node; run words-1 (a6a82157)"),
        ("started 2026-11-30 21:35:52", "started 2027-01-02T03:04:05.678Z"),
        ("✓ work   ▓████░   9 ms", "✓ work  ···██✗█▒  12 s"),
        ("RUN        STATUS", "RUN   STATUS"),
        ("lines  17 ms → 9 ms", "lines  1 ms"),
    ],
)
def test_two_runs_may_differ_in_ids_times_durations_and_columns(one: str, other: str) -> None:
    assert comparable(one) == comparable(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("total = 3", "total = 4"),
        ("3 nodes (1 failed)", "3 nodes (2 failed)"),
        ("  hint: read", "hint: read"),
        ("on 2024-05-01", "on 2024-05-02"),
    ],
)
def test_two_runs_may_not_differ_in_anything_else(one: str, other: str) -> None:
    assert comparable(one) != comparable(other)


def test_a_line_of_dots_stands_for_lines_and_dots_at_the_end_for_the_rest_of_a_line() -> None:
    printed = ("first", "second", "third is long", "last")
    assert aligned(("first", "…", "third…", "last"), printed) == ("first", "…", "third…", "last")
    assert aligned(("…", "last"), printed) == ("…", "last")
    assert aligned(("first", "…"), printed) == ("first", "…")


@pytest.mark.parametrize(
    "shown",
    [
        ("first",),
        ("first", "…", "second"),
        ("first", "second", "…"),
        ("…", "first", "second"),
        ("first…", "second"),
        ("fi…d",),
    ],
)
def test_dots_stand_for_something_and_nothing_else_is_left_out(shown: tuple[str, ...]) -> None:
    assert aligned(shown, ("first", "second")) is None


def test_a_page_that_fits_gets_the_ids_of_the_newest_run() -> None:
    assert aligned(("took 1 ms",), ("took 2 ms",)) == ("took 2 ms",)


def test_output_that_changed_is_shortened_as_it_was() -> None:
    printed = ("HEAD", "new 1", "kept", "new 2", "TAIL")
    assert shortened(("head", "…", "tail"), printed) == ("HEAD", "…", "TAIL")
    assert shortened(("head", "…", "kept", "…", "tail"), printed) == ("HEAD", "…", "kept", "…", "TAIL")
    assert shortened(("head",), printed) == printed
    assert shortened(("a", "…", "b"), ("one", "two")) == ("one", "two")
    assert shortened(("file /a…", "2 nodes"), ("file /ab", "3 nodes")) == ("file /a…", "3 nodes")


def test_a_page_shows_what_is_left_on_a_terminal_after_lines_were_drawn_over() -> None:
    frame = "\x1b[?25lWords  1 ms\x1b[K\r\r\n  ● a\x1b[K\x1b[J\r\x1b[1A\x1b[J\x1b[?25h"
    assert screen((frame + "{\r\n\t\x1b[1m1\x1b[0m\r\n}\r\n\r\n").encode()) == ["{", "        1", "}"]


def test_a_line_that_is_wider_than_the_terminal_stays_one_line() -> None:
    assert screen(b"x" * 5000) == ["x" * 5000]


def test_a_table_may_cut_a_text_a_little_earlier_where_another_column_is_wider() -> None:
    assert aligned(("1 ms  the com…",), ("251 ms  the c…",)) == ("251 ms  the c…",)
    assert aligned(("1 ms  the com…",), ("251 ms  the dog…",)) is None
    assert aligned(("1 ms  the command exited with 1…",), ("251 ms  the c…",)) is None


PAGE = """# A page

Write `words.txt`:

<!-- file: words.txt -->
```text
one
two
```

<!-- run: 1 -->
```console
$ cat words.txt
one
…
$ pwd; test -t 1 && exit 1
/home/ann/demo
```

The end.
"""


@pytest.mark.slow
def test_a_reader_types_the_commands_in_a_folder_with_the_files_of_the_page(tmp_path: Path) -> None:
    assert differences(PAGE, Reader(tmp_path)) == []
    assert rewritten(PAGE, Reader(tmp_path)) == PAGE


@pytest.mark.slow
def test_a_page_that_shows_something_else_is_found_and_rewritten(tmp_path: Path) -> None:
    old = PAGE.replace("/home/ann/demo", "nowhere").replace("```text\none", "```text\nnull")
    (told, other) = differences(old, Reader(tmp_path))
    assert told.startswith("$ cat words.txt\nprinted:\nnull\ntwo")
    assert "nowhere" in other
    new = rewritten(old, Reader(tmp_path))
    assert new == PAGE.replace("one", "null")


@pytest.mark.slow
def test_a_command_that_ends_with_another_status_is_told(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"\$ pwd; test -t 1"):
        differences(PAGE.replace("run: 1", "run: 3"), Reader(tmp_path))


def test_a_file_is_named_in_the_paragraph_before_it() -> None:
    assert unnamed_files(PAGE) == []
    assert unnamed_files(PAGE.replace("Write `words.txt`:", "Write a file:")) == ["words.txt"]


def test_dots_at_the_beginning_of_a_line_are_found() -> None:
    assert hand_shortened(PAGE) == []
    assert hand_shortened(PAGE.replace("/home/ann/demo", "…/demo")) == ["…/demo"]


def test_output_of_which_nothing_is_shown_is_found() -> None:
    assert hand_shortened(PAGE.replace("/home/ann/demo", "…")) == ["…"]


def test_links_lead_to_pages_and_their_headings(tmp_path: Path) -> None:
    here, there = tmp_path / "here.md", tmp_path / "there.md"
    texts = {
        here: "[a](there.md#of-a-model-modelsid) [b](there.md#none) [c](gone.md) [d](#top) [e](https://x.org/#y)",
        there: "# There\n\n## Of a model: `[models.ID]`\n\n```sh\n# none\n```\n\n## `run` { #Run }\n",
    }
    assert anchors(texts[there]) == {"there", "of-a-model-modelsid", "Run"}
    assert dead_links(here, tmp_path, texts) == ["](there.md#none)", "](gone.md)", "](#top)"]
