"""Texts in a language: what is wrong with them is found without running anything."""

import time
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.kit.sandbox import sandbox
from symphony.workflow.languages import LiteralFault, faults_in
from symphony.workflow.languages.regex_text import EXPANSION_MAX, parts_of
from symphony.workflow.languages.template_text import FILTERS, _environment, template_faults
from symphony.workflow.types import PortType, language_of, parse_port_type, parse_type

ITEM = ("item", "index")


def faults(kind: str, text: str, names: Collection[str] | None = None) -> tuple[LiteralFault, ...]:
    language = parse_port_type(kind).language
    assert language is not None
    return faults_in(text, language, language.names or None if names is None else names)


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        (
            "item > 1 and item is not None", "CEL has no `and`, `is not` and `None`",
            "write && for and, != for is not, null for None",
        ),
        ("item.n > 1 or True", "CEL has no `or` and `True`", "write || for or, true for True"),
        ("not item.ok", "CEL has no `not`", "write ! for not"),
        ("item.n if item.ok else 0", "CEL has no `if`", "write item.ok ? item.n : 0"),
    ],
)  # fmt: skip
def test_words_of_other_languages_are_no_fields_of_the_element(text: str, said: str, hint: str) -> None:
    (fault,) = faults("cel", text, ITEM)
    assert (fault.message, fault.hint) == (said, hint)


def told(kind: str, text: str, names: Collection[str] | None = None) -> list[str]:
    return [fault.told(text) for fault in faults(kind, text, names)]


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("itm.a > 1", ["itm.a is not known here (at character 1)"], "did you mean item?"),
        ("item.a > size", ["size is not known here (at character 10)"], "write item.size"),
        ("inputs.limit < 1", ["inputs.limit is not known here (at character 1)"],
         "write ${{ inputs.limit }}; without that the expression sees item and index"),
        ("value > 1", ["value is not known here (at character 1)"], "the expression sees item and index"),
        ("item.a >", ["the expression is not complete (at character 9)"], None),
        ("", ["the expression is empty"], None),
        ("size(item)", ["it gives an integer, not a boolean"], "compare with something: item.lines > 10"),
        ("a\n  && b.c", ["a is not known here (at line 1, character 1)",
                         "b.c is not known here (at line 2, character 6)"], "write item.a"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_cel_is_told_with_its_place(text: str, said: list[str], hint: str | None) -> None:
    assert told("cel[item, index -> boolean]", text) == said
    assert hint is None or faults("cel[item, index -> boolean]", text)[0].hint == hint


@pytest.mark.parametrize("text", ["item.a > 1", "item.exists(a, a == 1)", "${{ item.a }}", "item", "true"])
def test_sound_cel_has_no_faults(text: str) -> None:
    assert told("cel[item, index -> boolean]", text) == []


def test_names_of_an_authors_own_are_as_good_as_item() -> None:
    assert told("cel[row, limit]", 'row.size > limit && row["a"] != null') == []
    assert told("cel[row, limit]", "rwo.size > item") == [
        "rwo.size is not known here (at character 1)",
        "item is not known here (at character 12)",
    ]


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("[?a > 3]", "unexpected 3 (at character 7)", "numbers are written between backquotes: `20`"),
        ("a.b.", "the expression is not complete (at character 5)", "see jmespath.org for the language"),
        ("a[?b", "the expression is not complete (at character 5)", "see jmespath.org for the language"),
        ("a || `", "unclosed ` delimiter (at character 6)", "see jmespath.org for the language"),
        ("lenght(@)", "there is no function lenght (at character 1)", "did you mean length?"),
        ("a.b[].sort_by(@)", "sort_by takes 2 arguments, not 1 (at character 7)", None),
        ("not_null()", "not_null takes at least 1 argument, not 0 (at character 1)", None),
        ("", "Invalid JMESPath expression: cannot be empty.", None),
        ("a" * 5000, "the expression has 5,000 characters, at most 4,096 are allowed", "shorten it"),
    ],
)
def test_what_is_wrong_with_jmespath_is_told_with_its_place(text: str, said: str, hint: str | None) -> None:
    assert told("jmespath", text) == [said]
    assert hint is None or faults("jmespath", text)[0].hint == hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(a", "missing ) (at character 3)"),
        ("a[b", "unterminated character set (at character 4)"),
        ("*a", "nothing to repeat (at character 1)"),
        (r"\p{Nonsense}", "unknown property (at character 13)"),
        ("\bword", "the pattern holds the control character U+0008 (at character 1)"),
    ],
)
def test_what_is_wrong_with_a_pattern_is_told_with_its_place(text: str, said: str) -> None:
    assert told("regex", text) == [said]
    assert faults("regex", text)[0].sure is not text.startswith("\b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\n{% for x in y }", ["unexpected '}' (in line 2)"]),
        ("{{ title|uper }}", ["there is no filter 'uper'"]),
        ("{{ titel }}", ["nothing called 'titel' is given to the template"]),
        ("{{ data.x }}{{ title|md }}{% for r in rows %}{{ r.a }}{{ loop.index }}{% endfor %}", []),
        ("{{ sub | default('') }}{% if other is defined %}{{ other }}{% endif %}", []),
        ("{% set x = 1 %}{{ x }}{% macro m(y) %}{{ y }}{% endmacro %}{{ m(1) }}{{ range(3) }}", []),
        ("{% extends 'base.j2' %}{% block a %}{{ from_the_base }}{% endblock %}", []),
        ("{{ nope|nofilter }}",
         ["there is no filter 'nofilter'", "nothing called 'nope' is given to the template"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_template_is_told_with_its_line(text: str, said: list[str]) -> None:
    assert told("template[data, *data]", text, ["data", "title", "rows"]) == said


def test_only_what_a_template_always_reaches_is_surely_wrong() -> None:
    names = ["data"]
    for text in (
        "{{ a }}",
        "{{ a.b[0] }}",
        "{% for x in a %}{% endfor %}",
        "{% if a %}{% endif %}",
        "{{ a|e }}",
    ):
        assert [fault.sure for fault in faults("template", text, names)] == [True], text
    for text in (
        "{% if data %}{{ a }}{% endif %}", "{% for x in data %}{{ a }}{% endfor %}", "{{ a or 1 }}",
        "{{ 1 if data else a }}", "{% macro m() %}{{ a }}{% endmacro %}",
        "{% if data %}{{ data|nope }}{% endif %}",
    ):  # fmt: skip
        assert [fault.sure for fault in faults("template", text, names)] == [False], text


def test_of_a_template_whose_names_are_not_known_the_syntax_is_checked() -> None:
    assert told("template", "{{ anything }}") == []
    assert told("template", "{{ anything") == [
        "unexpected end of template, expected 'end of print statement'."
    ]


def test_the_filters_are_those_that_templates_are_rendered_with() -> None:
    made = sandbox([], escaped=False, check=lambda: None)
    named = {name for name in made.filters if name.isidentifier()}  # one that is not is the sandbox's own
    assert named == set(_environment().filters)
    assert set(FILTERS) <= set(made.filters)
    assert (made.trim_blocks, made.lstrip_blocks) == (True, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("src/**/*.py", []),
        ("{a,b}/{1..9}[!x]", []),
        ("/etc/*", ["'/etc/*' is not a pattern for paths below the root"]),
        ("../*", ["'../*' is not a pattern for paths below the root"]),
        ("", ["'' is not a pattern for paths below the root"]),
        ("[z-a]", ["pattern [z-a]: bad character range z-a"]),
        ("{1..99999}", ["pattern {1..99999} expands to more than 10,000 texts"]),
        ("{1..9}" * 6, ["expands to more than 10,000 patterns"]),
    ],
)
def test_what_is_wrong_with_a_glob_is_told(text: str, said: list[str]) -> None:
    found = told("glob", text)
    assert len(found) == len(said)
    assert all(part in one for part, one in zip(said, found, strict=True))


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("glob", "{1..9999}*"),
        ("glob", "{1..9}" * 160),
        ("glob", "{" * 500 + ",a" * 240),
        ("glob", "[" * 990),
        ("regex", "(?:" * 6 + "a" + "{1000})" * 6),
        ("regex", "(?:a?){100000}" * 700),
        ("regex", "(" * 4900 + ")" * 4900),
        ("regex", "(a*)*" * 2000),
        ("regex", "|".join(f"abcdefgh{i}" for i in range(800))),
        ("template", '{{ "x"|center(1000000000000) }}'),
        ("template", '{{ "%01000000000000d" % 1 }}{{ 9**9**9**9 }}'),
        ("template", "{{ [1] * 10**10 }}{{ 'a' * 10**11 }}"),
        ("template", "{% set x = 10**100000000 %}{{ 9**9**9 }}{% if 7**7**7**7 %}{% endif %}"),
        ("template", "{% for i in [0] * 10**10 %}{% endfor %}{{ ([1] * 10**10)|sum }}"),
        ("template", "{{ " + "9" * 5000 + " }}"),
        ("template", '{% autoescape "x"|center(1000000000000) %}{% endautoescape %}'),
        ("template", "{{ " + "(" * 9000 + "a" + ")" * 9000 + " }}"),
        ("template", "{% for x in y %}" * 400 + "{% endfor %}" * 400),
        ("jmespath", "[" * 4000),
        ("jmespath", "a" + "[?a" * 1000),
        ("cel[item]", "(" * 2000 + "item" + ")" * 2000),
        ("cel[item]", "item" + ".map(x, x)" * 400),
    ],
)
def test_a_hostile_text_takes_no_time_and_no_memory(kind: str, text: str) -> None:
    begun = time.process_time()
    faults(kind, text)
    assert time.process_time() - begun < 5


def test_repetitions_are_counted_as_they_nest() -> None:
    assert parts_of("a{3}") == 3
    assert parts_of(r"(?:ab){10}") >= 20
    assert parts_of(r"\{9\}[{9}]") < 10
    assert parts_of("((a{1000}){1000}){1000}") > EXPANSION_MAX
    assert parts_of(r"[0-9a-f]{64}:[0-9a-f]{8}-\d{4,}") < 100


@given(st.text(alphabet="ab(){}[]|*+?\\^$.:=!<>,-0123456789PQpnxR&'", max_size=40))
def test_whatever_the_pattern_it_is_found_sound_or_told(text: str) -> None:
    for fault in faults("regex", text):
        assert fault.message
        assert fault.hint


@given(st.text(alphabet="ab{}%#|.()[]'\" \nif for in end set+-", max_size=60))
def test_whatever_the_template_it_is_found_sound_or_told(text: str) -> None:
    for fault in faults("template[data, *data]", text, ["data", "a"]):
        assert fault.message
        assert fault.hint


@pytest.mark.filterwarnings("ignore:deprecated string literal syntax")
@given(st.text(alphabet="ab@[]?*.|&`'\"(){}<>=!,: 01", max_size=40))
def test_whatever_the_jmespath_it_is_found_sound_or_told(text: str) -> None:
    for fault in faults("jmespath", text):
        assert fault.message
        assert fault.hint


@pytest.mark.parametrize(
    "text",
    [
        "cel", "cel[item, index]", "cel[item -> boolean]?", "list[cel[item]]", "map[map[cel[item, index]]]",
        "jmespath", "regex?", "template[data, *data]", "glob",
        "map[a | b: list[cel[item]]]", "list[map[one: any?]]?",
    ],
)  # fmt: skip
def test_a_type_with_a_language_is_spelled_and_read_again(text: str) -> None:
    assert str(parse_port_type(text)) == text
    with pytest.raises(ValueError, match="is not a type"):
        parse_type(text)  # inputs of workflows have none


def test_texts_in_a_language_are_strings_to_everything_else() -> None:
    from symphony.workflow.types import STRING, fits, mismatch

    cel = language_of("cel", ITEM)
    assert fits(cel, STRING)
    assert fits(STRING, cel)
    assert not fits(PortType("integer"), cel)
    assert mismatch("item.a", cel) is None
    assert mismatch(1, cel) == "an integer is not a CEL expression"
    assert mismatch(None, parse_port_type("list[regex]")) == "null is not a list[regex]"


def test_a_name_that_a_template_sets_in_a_branch_is_known_inside_of_it() -> None:
    text = (
        "{% if items %}{% set ns = namespace(most=1) %}"
        "{% for x in items %}{% set ns.most = [ns.most, x]|max %}{% endfor %}{{ ns.most }}{% endif %}"
    )
    assert template_faults(text, {"items"}) == ()
    assert template_faults("{{ total }}{% if items %}{% set total = 1 %}{% endif %}", {"items"}) != ()
