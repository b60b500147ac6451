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


def test_filters_that_write_maps_keep_the_order_of_their_keys(run: Any) -> None:
    data = {"zip": 1, "name": {"y": 2, "b": 3}, "age": 3}
    for template, text in (
        ("{{ data | tojson }}", '{"zip": 1, "name": {"y": 2, "b": 3}, "age": 3}'),
        ("{{ data | pprint }}", "{'zip': 1, 'name': {'y': 2, 'b': 3}, 'age': 3}"),
        ("{{ data }}", "{'zip': 1, 'name': {'y': 2, 'b': 3}, 'age': 3}"),
        ("{{ data | join(',') }}", "zip,name,age"),
        ("{{ data | items | map('first') | join(',') }}", "zip,name,age"),
    ):
        assert run("text.render", text=template, data=data)["text"] == text, template


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{% for g in groups %}{{ g.items | join('+') }};{% endfor %}", "1+2;3;"),
        ("{{ groups[0].key }} {{ groups[0].values }} {{ groups[0].copy.get }}", "a b c"),
        ("{% for k, v in groups[1].items() %}{{ k }} {% endfor %}", "key items "),
        ("{{ groups[0].get('values') }} {{ groups[0].get('none', 'other') }}", "b other"),
        ("{{ groups[1].keys() | list | join(',') }} {{ groups[1].values() | list | length }}", "key,items 2"),
        ("{{ groups | map(attribute='items') | map('sum') | join(',') }}", "3,3"),
        ("{% set m = {'items': 5} %}{{ m.items }} {{ {'items': 6}.items }} {{ {'pop': 7}.items() | list }}",
         "5 6 [('pop', 7)]"),
        ("{% macro items() %}called{% endmacro %}{{ items() }} {{ self.items is defined }}", "called False"),
    ],
)  # fmt: skip
def test_a_key_comes_before_a_method_of_the_same_name_which_can_still_be_called(
    run: Any, template: str, text: str
) -> None:
    groups = [
        {"key": "a", "items": [1, 2], "values": "b", "copy": {"get": "c"}}, {"key": "d", "items": [3]},
    ]  # fmt: skip
    assert run("text.render", text=template, data={"groups": groups})["text"] == text
    assert run("text.render", text=template, data={"groups": groups}, escape="html")["text"]


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
    assert reads({"template": "gone.md"}, run.context()) is None
    assert reads({"text": "x"}, run.context()) is not None


USES = [
    ("{% include 'part.txt' %}", "part.txt"),
    ("{% include ['gone.txt', 'part.txt'] %}", "part.txt"),
    ("{%- include 'part.txt' ignore missing -%}", "part.txt"),
    ("{%\n include 'sub/part.txt' without context %}", "sub/part.txt"),
    ("{% extends 'part.txt' %}", "part.txt"),
    ("{% import 'part.txt' as p %}{{ p.m() }}", "part.txt"),
    ("{% from 'part.txt' import m with context %}{{ m() }}", "part.txt"),
    ("{% if data %}{% for i in [1] %}{% include 'part.txt' %}{% endfor %}{% endif %}", "part.txt"),
    ("{% include 'middle.txt' %}", "part.txt"),
    ("{% extends 'middle.html' %}", "part.txt"),
    ("{% include 'round.txt' %}", "part.txt"),
]


@pytest.mark.parametrize("main", ["text", "template"])
@pytest.mark.parametrize(("template", "part"), USES)
def test_what_it_reads_changes_with_every_template_that_is_used(
    template: str, part: str, main: str, run: Any, tmp_path: Path
) -> None:
    reads = operators()["text.render"].reads
    assert reads is not None
    (tmp_path / "sub").mkdir()
    (tmp_path / "main.txt").write_text(template)
    (tmp_path / "middle.txt").write_text("{% include 'part.txt' %}")
    (tmp_path / "middle.html").write_text("{% from 'part.txt' import m %}{% block a %}{% endblock %}")
    (tmp_path / "round.txt").write_text(
        "{% include 'part.txt' %}{% if no %}{% include 'round.txt' %}{% endif %}"
    )
    inputs = {"text": template} if main == "text" else {"template": "main.txt"}
    seen = []
    for change in (None, "{% macro m() %}old{% endmacro %}", "{% macro m() %}new{% endmacro %}"):
        if change is not None:
            (tmp_path / part).write_text(change)
        seen.append(reads(inputs, run.context()))
        assert seen[-1] == reads(inputs, run.context())
    assert None not in seen
    assert len(set(seen)) == 3


@pytest.mark.parametrize(
    "template",
    ["{% include name %}", "{% extends 'a' if x else 'b' %}", "{% include ['a.txt', name] %}",
     "{% import data.file as p %}", "{% include 'dynamic.txt' %}", "{% include 'broken.txt' %}"],
)  # fmt: skip
def test_a_name_that_is_worked_out_while_rendering_makes_it_uncached(
    template: str, run: Any, tmp_path: Path
) -> None:
    reads = operators()["text.render"].reads
    assert reads is not None
    (tmp_path / "dynamic.txt").write_text("{% include data %}")
    (tmp_path / "broken.txt").write_text("{% include %}")
    assert reads({"text": template}, run.context()) is None


def test_a_file_that_now_stands_before_another_one_counts(run: Any, tmp_path: Path) -> None:
    reads = operators()["text.render"].reads
    assert reads is not None
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "main.txt").write_text("{% include 'part.txt' %}")
    (tmp_path / "part.txt").write_text("old")
    before = reads({"template": "t/main.txt"}, run.context())
    (tmp_path / "t" / "part.txt").write_text("new")
    assert reads({"template": "t/main.txt"}, run.context()) != before


def test_text_from_outside_is_made_fit_for_where_it_stands(run: Any) -> None:
    text = "{{ t | comment }}\n{{ t | md }}\n{% for l in t | lines %}[{{ l }}]{% endfor %}"
    shown = run("text.render", text=text, data={"t": "a --> &lt; b\rc\u2028d\r\ne"})["text"]
    assert shown.split("\n", 1)[0].startswith("a --&gt; &lt; b\rc")
    assert "a --\\> \\&lt; b c d e" in shown
    assert shown.endswith("[a --> &lt; b][c\u2028d][e]")
