"""text.render."""

from pathlib import Path
from typing import Any

import pytest

from symphony.kit import operators
from symphony.kit.errors import InputRefused, OutputTooLarge, Stopped, TemplateFailed


def test_lines_that_hold_only_a_tag_leave_no_empty_line(run: Any) -> None:
    template = "{% for x in names %}\n- {{ x }}\n{% endfor %}\n{{ data.names | length }}\n"
    assert run("text.render", text=template, data={"names": ["a", "<b>"]}) == {"text": "- a\n- <b>\n2\n"}


def test_templates_lie_beside_the_workflow_and_may_extend_each_other(run: Any, tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "page.html.j2").write_text(
        "{% extends 'base.html' %}{% block x %}{{ v }}{% endblock %}"
    )
    (tmp_path / "base.html").write_text("<p>{% block x %}{% endblock %}</p>")
    assert run("text.render", template="t/page.html.j2", data={"v": "a<b"}) == {"text": "<p>a&lt;b</p>"}


def test_escaping_follows_the_name_unless_it_is_said(run: Any, tmp_path: Path) -> None:
    for name in ("a.md.j2", "a.svg"):
        (tmp_path / name).write_text("{{ data }}")
    assert run("text.render", template="a.md.j2", data="<")["text"] == "<"
    assert run("text.render", template="a.svg", data="<")["text"] == "&lt;"
    assert run("text.render", template="a.svg", data="<", escape="none")["text"] == "<"
    assert run("text.render", text="{{ data }}", data="<", escape="html")["text"] == "&lt;"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("a\n{{ nothing }}", "<text>:2: 'nothing' is undefined"),
        ("\n\n{% for %}", "<text>:3: Expected"),
        ("{{ ''.__class__ }}", "unsafe"),
        ("{{ data.append(1) }}", "unsafe"),
        ("{{ 'x' * 1000000000 }}", "too large"),
        ("{{ 9 ** 9 ** 9 }}", "a power"),
        ("{% include 'nope.md' %}", "no template nope.md"),
        ("{% include '../secret' %}", "no template ../secret"),
        ("{{ 1 / 0 }}", "division"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion"),
    ],
)
def test_a_template_that_fails_names_the_line(run: Any, template: str, said: str) -> None:
    with pytest.raises(TemplateFailed, match="(?s)" + said.replace("*", r"\*")) as caught:
        run("text.render", text=template, data=[1])
    assert caught.value.hint


def test_an_error_in_a_file_names_file_and_line(run: Any, tmp_path: Path) -> None:
    file = tmp_path / "r.md"
    file.write_text("one\n{{ data.x.y }}\n")
    with pytest.raises(TemplateFailed) as caught:
        run("text.render", template="r.md", data={"x": 1})
    assert caught.value.message.startswith(f"{file}:2: ")


def test_endless_loops_and_texts_are_stopped(run: Any) -> None:
    loops = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    with pytest.raises(OutputTooLarge, match="took longer"):
        run("text.render", text=loops, seconds=0.05)
    run.cancelled = lambda: True
    with pytest.raises(Stopped):
        run("text.render", text=loops)


def test_it_takes_either_a_file_or_a_text(run: Any) -> None:
    for inputs in ({}, {"text": "a", "template": "b"}):
        with pytest.raises(InputRefused, match="either"):
            run("text.render", **inputs)


def test_what_it_reads_is_the_template(run: Any, tmp_path: Path) -> None:
    reads = operators()["text.render"].reads
    assert reads is not None
    (tmp_path / "a.md").write_text("1")
    first = reads({"template": "a.md"}, run.context())
    (tmp_path / "a.md").write_text("2")
    assert first != reads({"template": "a.md"}, run.context())
    (tmp_path / "a.md").write_text("{%- include 'b.md' %}")
    assert reads({"template": "a.md"}, run.context()) is None, "others are read that are not known"
    assert reads({"template": "gone.md"}, run.context()) is None
    assert reads({"text": "x"}, run.context()) == "no template file"
