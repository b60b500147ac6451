"""What validation says of a text in a language is what the operator says that is given it."""

from pathlib import Path

import pytest
from tests.unit.kit.conftest import Runner

from symphony.commons.errors import SymphonyError
from symphony.workflow.builtin import builtin_catalog
from symphony.workflow.languages import faults_in

KIT = Runner(Path())


@pytest.mark.parametrize(
    ("operator", "port", "others", "texts"),
    [
        ("data.filter", "condition", {"items": [{"a": 1}]},
         ["item.a > 0", "index == 0", "a > 0", "item.a >", "value == null", "size(item)", "inputs.x > 1",
          'item.a.startWith("x")', "true", "null", "", "  ", "item.a in [1, 2]", "item[", "$"]),
        ("data.map", "expression", {"items": [1]}, ["item + index", "itm", "item +", "[item, {'a': item}]"]),
        ("data.reduce", "expression", {"items": [1], "initial": 0},
         ["value + item", "value + valu", "index"]),
        ("json.query", "expression", {"data": {"a": [1, 2]}},
         ["a", "a[0]", "a[", "a[?@ > 1]", "a[?@ > `1`]", "nope(a)", "length(a)", "length()", "max(a, a)",
          "not_null()", "sort_by(a, &@)", "'x", '"a', "a.*.b", "a | [0]", "", "@", "a[1:2:0]"]),
        ("text.regex", "pattern", {"text": "abc"},
         ["b", "(b", "b)", "[b", "*", "(?P<n>b)", "(?P<n>b", r"\\p{L}", r"\\p{Nope}", "(?<=a)b", "a{2,1}",
          "a{1,2}{2}", "b{e<=1}", r"\\1", r"(b)\\1", "(?i)B", "", "[[:alpha:]]", "(?>a)b", "a++b"]),
        ("text.render", "text", {"data": {"a": 1, "rows": [1]}},
         ["{{ a }}", "{{ b }}", "{{ a", "{% if a %}x", "{% if a %}x{% endif %}", "{{ a|upper }}",
          "{{ a|nope }}", "{{ a is nope }}", "{% for r in rows %}{{ r }}{% endfor %}", "{{ b|default(1) }}",
          "{{ a|md }}",
          "{{ data.a }}", "{{ data.nope }}", "{% nope %}", "{# x #}", "{{ }}", "{% block a %}{% endblock %}",
          "{% block a %}{% endblock %}{% block a %}{% endblock %}", "{{ a.b.c }}", "{% set a = 2 %}{{ a }}",
          "{% extends 'nope.j2' %}", "{{ loop.index }}", "{{ self }}", "{{ range(2)|list }}", ""]),
    ],
)  # fmt: skip
def test_a_text_that_validation_refuses_fails_and_one_that_does_not_compile_is_refused(
    operator: str, port: str, others: dict[str, object], texts: list[str]
) -> None:
    language = builtin_catalog().operators[operator].inputs[port].type.language
    assert language is not None
    names = ("data", "a", "rows") if language.name == "template" else language.names or None
    for text in texts:
        refused = [fault for fault in faults_in(text, language, names) if fault.sure]
        try:
            KIT(operator, **others, **{port: text})
        except SymphonyError as error:
            late = ("no such key", "nope.j2", "no attribute", "object", "slice", "step", "loop", "no boolean")
            assert refused or any(word in error.message for word in late), (text, error.message)
        else:
            assert not refused, (text, refused)
