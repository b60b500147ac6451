"""The sandbox that templates are rendered in: what compiling gave is kept."""

from pathlib import Path
from types import CodeType
from typing import Any

import jinja2
from jinja2.bccache import Bucket

from symphony.kit.rendering import _effort
from symphony.kit.sandbox import CompiledTemplates, sandbox


def compiled(template: jinja2.Template) -> CodeType:
    return template.root_render_func.__code__


def never() -> None:
    """Rendering goes on."""


def test_a_text_is_compiled_once_for_all_renderings_and_escaped_apart() -> None:
    text = "{{ once }} and for all"
    first, second = (compiled(sandbox([], escaped=False, check=never).template_of(text)) for _ in range(2))
    assert first is second
    assert compiled(sandbox([], escaped=True, check=never).template_of(text)) is not first


def test_a_file_is_compiled_once_until_it_changes_and_so_is_what_it_includes(tmp_path: Path) -> None:
    (tmp_path / "a.j2").write_text("{% include 'b.j2' %}")
    (tmp_path / "b.j2").write_text("one")

    def both() -> list[CodeType]:
        made = sandbox([tmp_path], escaped=False, check=never)
        return [compiled(made.get_template(name)) for name in ("a.j2", "b.j2")]

    first = both()
    assert all(one is other for one, other in zip(first, both(), strict=True))
    (tmp_path / "b.j2").write_text("two")
    assert [one is other for one, other in zip(first, both(), strict=True)] == [True, False]
    assert sandbox([tmp_path], escaped=False, check=never).get_template("a.j2").render() == "two"


def test_two_files_of_one_text_keep_their_names_in_errors(run: Any, tmp_path: Path) -> None:
    for name in ("a.j2", "b.j2"):
        (tmp_path / name).write_text("{{ 1 / zero }}")
        try:
            run("text.render", template=name, data={"zero": 0})
        except Exception as error:  # noqa: BLE001
            assert f"{name}:1: division" in str(error)


def test_what_is_kept_is_bounded_in_number_and_size_and_the_least_used_goes_first() -> None:
    environment = jinja2.Environment()
    kept = CompiledTemplates(most=2)

    def bucket(text: str) -> Bucket:
        return kept.get_bucket(environment, "", None, text)

    for text in ("one", "two"):
        made = bucket(text)
        made.code = environment.compile(text)
        kept.set_bucket(made)
    assert bucket("one").code is not None
    three = bucket("three")
    three.code = environment.compile("three")
    kept.set_bucket(three)
    assert [bucket(text).code is not None for text in ("one", "two", "three")] == [True, False, True]
    small = CompiledTemplates(bytes_most=100)
    small.set_bucket(three)
    assert len(small) == 0


def test_how_heavy_a_template_may_be_is_worked_out_once_for_a_text(run: Any) -> None:
    before = _effort.cache_info().misses
    for number in range(20):
        run("text.render", text="a text of this test {{ number }}", data={"number": number})
        _effort("a text of this test {{ number }}")
    assert _effort.cache_info().misses == before + 1
