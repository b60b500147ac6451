"""Templates that others include, import or extend are checked and watched with the workflow."""

from pathlib import Path

import pytest

from symphony.cli.arguments.files import resolver
from symphony.workflow import ValidationReport, check_file

FLOW = """\
name: W
nodes:
  a: {operator: text.render, inputs: {template: t/page.j2, data: {x: 1}}}
outputs: {text: "${{ a.text }}"}
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t").mkdir()
    Path("w.yaml").write_text(FLOW)
    Path("t/page.j2").write_text('{% extends "base.j2" %}{% block b %}{% include "part.j2" %}{% endblock %}')
    Path("t/base.j2").write_text('{% from "macros.j2" import m %}<{% block b %}{% endblock %}>')
    Path("t/part.j2").write_text("{{ x }}")
    Path("macros.j2").write_text("{% macro m() %}{% endmacro %}")


def checked() -> tuple[ValidationReport, set[str]]:
    resolve = resolver(Path("w.yaml"))
    _, report = check_file(Path("w.yaml"), None, resolve)
    return report, {str(path.relative_to(Path.cwd())) for path in resolve.asked if path.is_file()}


def test_all_that_a_template_is_made_of_is_watched() -> None:
    report, asked = checked()
    assert report.ok
    assert not report.warnings
    assert {"t/page.j2", "t/base.j2", "t/part.j2", "macros.j2"} <= asked


@pytest.mark.parametrize("name", ["t/base.j2", "t/part.j2", "macros.j2"])
def test_an_error_in_a_part_is_found(name: str) -> None:
    Path(name).write_text("{% if %}")
    report, _ = checked()
    assert not report.ok
    assert report.errors[0].place == "nodes.a.inputs.template"
    assert f"the template {Path(name).name}: " in report.errors[0].message


def test_a_part_that_is_missing_is_a_warning_unless_it_may_be() -> None:
    Path("t/part.j2").unlink()
    report, _ = checked()
    assert report.ok
    assert "the template part.j2: cannot read" in report.warnings[0].message
    page = '{% include "part.j2" ignore missing %}{% include ["a.j2", "b.j2"] %}{% include x %}{{ x }}'
    Path("t/page.j2").write_text(page)
    assert not checked()[0].warnings


def test_parts_that_name_each_other_are_read_once() -> None:
    Path("t/part.j2").write_text('{% if x %}{% include "page.j2" %}{% endif %}{% include "../w.yaml" %}')
    report, asked = checked()
    assert report.ok
    assert "t/page.j2" in asked
