"""Templates: what they say, what may be given, what they make."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.ports.values import Value
from symphony.workflow import builtin_catalog
from symphony.workflow.documents import format_named
from symphony.workflow.files import read_bytes
from symphony.workflow.problems import Problem
from symphony.workflow.templates import WorkflowTemplate, read_template
from symphony.workflow.templates.making import made_workflow
from symphony.workflow.templates.shell_text import quoted

HUNT = """\
name: Hunt in $[[ label ]]
version: 1.2.0
description: For $[[ label ]]
metadata:
  owner: us
  template:
    parameters:
      file: {examples: [a.csv], pattern: ".*[.]csv", min_length: 5, max_length: 10, group: In, order: 2}
      label: {type: string, default: all, group: In, order: 1}
      jobs: {type: integer, default: 2, min: 1, max: 8, sets: nodes.count.concurrency}
      word: {type: string, label: What to look for, widget: text}
      tags: {type: "list[string]", default: [x], min_length: 1, sets: [tags]}
inputs:
  file: {type: path, description: where to look}
  loud: {type: boolean, default: false}
tags: [replaced]
nodes:
  count:
    command: grep -c -- $[[ word ]] "$FILE" || true
    for_each: "[1, 2]"
    concurrency: 1
    inputs: {file: "${{ inputs.file }}", loud: "${{ inputs.loud }}"}
outputs: {counts: "${{ count.stdout }}"}
"""


def read(text: str) -> tuple[WorkflowTemplate | None, list[Problem]]:
    reading = read_bytes(text.encode(), format_named("yaml"))
    assert reading.problems == ()
    assert reading.workflow is not None
    assert isinstance(reading.tree, dict)
    template, problems = read_template(reading.workflow, reading.tree)
    return template, list(problems)


@pytest.fixture
def hunt() -> WorkflowTemplate:
    template, problems = read(HUNT)
    assert problems == []
    assert template is not None
    return template


def make(template: WorkflowTemplate, given: dict[str, Value], kind: str = "yaml") -> tuple[str, Any]:
    body, reading, report = made_workflow(template, given, builtin_catalog(), format_named(kind), name="hunt")
    assert report.errors == ()
    return body.decode(), reading.workflow


def test_the_inputs_are_parameters_and_further_ones_may_be_declared(hunt: WorkflowTemplate) -> None:
    assert {name: one.input for name, one in hunt.parameters.items()} == {
        "file": True, "loud": True, "label": False, "jobs": False, "word": False, "tags": False
    }  # fmt: skip
    assert [one.name for one in hunt.ordered] == ["label", "file", "loud", "jobs", "word", "tags"]
    assert [name for name, one in hunt.parameters.items() if one.required] == ["file", "word"]


@pytest.mark.parametrize("kind", ["yaml", "toml", "json"])
def test_a_workflow_is_made_with_defaults_places_and_words(hunt: WorkflowTemplate, kind: str) -> None:
    given: dict[str, Value] = {"file": "b.csv", "word": "it's; rm -rf ~", "jobs": 7, "label": "b ${{ x }}"}
    body, made = make(hunt, given, kind)
    assert made.name == "Hunt in b ${{ x }}"
    assert made.inputs["file"].default == "b.csv"
    assert made.inputs["loud"].default is False
    assert made.nodes["count"].concurrency == 7
    assert made.nodes["count"].command == """grep -c -- 'it'"'"'s; rm -rf ~' "$FILE" || true"""
    assert made.tags == ("x",)
    assert made.metadata == {"owner": "us", "made_from": "hunt@1.2.0"}
    if kind == "yaml":
        assert body.startswith("# Made from the template hunt 1.2.0")
        assert '#   word = "it\'s; rm -rf ~"\n' in body


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=40))
def test_whatever_is_given_the_file_says_exactly_that(text: str) -> None:
    template, _ = read(HUNT)
    assert template is not None
    _, made = make(template, {"file": "b.csv", "word": text, "label": "x"})
    assert made.nodes["count"].command == f'grep -c -- {quoted(text)} "$FILE" || true'


def test_a_missing_choice_is_told_with_all_that_may_be_chosen() -> None:
    template, _ = read(HUNT.replace("word: {type: string,", "word: {type: 'enum[fox, the lazy dog]',"))
    assert template is not None
    hints = [one.hint for one in template.check({"file": "b.csv"}) if one.code == "missing-input"]
    assert hints == ["give it: --param word=fox (one of fox, the lazy dog)"]


def test_everything_wrong_is_told_at_once_with_the_fix(hunt: WorkflowTemplate) -> None:
    values, unread = hunt.parse([("jobs", "many"), ("loud", "true"), ("loud", "true"), ("tags", "[]")])
    assert [(one.code, one.place) for one in unread] == [
        ("type-mismatch", "parameters.jobs"), ("duplicate-name", "parameters.loud")
    ]  # fmt: skip
    problems = hunt.check({**values, "jobs": 9, "file": "no.txt", "wrod": 1, "label": 3})
    assert {(one.code, one.place, one.message, one.hint) for one in problems} == {
        ("unknown-port", "parameters.wrod", "the template has no parameter 'wrod'", "did you mean word?"),
        ("type-mismatch", "parameters.file", "'no.txt' does not match .*[.]csv",
         "expected path, 5 to 10 characters, matching .*[.]csv, for instance a.csv"),
        ("type-mismatch", "parameters.jobs", "9 is more than the maximum, 8",
         "expected integer, at least 1 and at most 8, as JSON: 1"),
        ("type-mismatch", "parameters.label", "an integer is not a string", "expected string"),
        ("missing-input", "parameters.word", "parameter word needs a value", "give it: --param word=STRING"),
        ("type-mismatch", "parameters.tags", "it has 0 elements, and must have at least 1",
         "expected list[string], as JSON: '[…]', at least 1 elements"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "place", "message"),
    [
        ("pattern: ", "patern: ", "metadata.template.parameters.file.patern", "no key 'patern'"),
        ('".*[.]csv"', '"["', "metadata.template.parameters.file.pattern", "not a pattern"),
        ("examples: [a.csv]", "examples: [a.txt]", "metadata.template.parameters.file.examples[0]", "match"),
        ("min_length: 5", "min_length: 50", "metadata.template.parameters.file.min_length", "more than"),
        ("min_length: 5", "min_length: -5", "metadata.template.parameters.file.min_length", "negative"),
        ("examples: [a.csv]", "type: path", "metadata.template.parameters.file.type", "by the input"),
        ("default: 2", "default: 20", "metadata.template.parameters.jobs.default", "maximum"),
        ("widget: text", "widget: txt", "metadata.template.parameters.word.widget", "cannot be"),
        ("sets: [tags]", "sets: [inputs.file]", "metadata.template.parameters.tags.sets", "not a place"),
        ("sets: [tags]", "sets: [nodes.x.y]", "metadata.template.parameters.tags.sets", "nothing at"),
        ("sets: [tags]", "sets: [..]", "metadata.template.parameters.tags.sets", "not a place"),
        ("$[[ word ]]", "$[[ wrod ]]", "nodes.count.command", "no parameter 'wrod'"),
        ("-- $[[ word ]]", '-- "$[[ word ]]"', "nodes.count.command", "inside"),
        ('"${{ inputs.loud }}"', '"$[[ word ]]"', "nodes.count.inputs.loud", "cannot be named"),
        ("    parameters:", "    colour: red\n    parameters:", "metadata.template.colour", "no key"),
        ("      label: {", "      1a: {", "metadata.template.parameters.1a", "not a name"),
    ],
)
def test_a_template_that_is_wrong_is_told_its_place(
    before: str, after: str, place: str, message: str
) -> None:
    assert HUNT.count(before) == 1
    template, problems = read(HUNT.replace(before, after))
    assert template is None
    assert any(one.place == place and message in one.message for one in problems), problems


def test_a_value_is_never_taken_for_an_expression() -> None:
    more = "      deep: {type: any, sets: [nodes.count.inputs.note, outputs.note]}\n      word:"
    text = HUNT.replace("      word:", more, 1).replace("inputs: {file", "inputs: {note: x, file")
    template, problems = read(text.replace("outputs: {", "outputs: {note: x, "))
    assert problems == []
    assert template is not None
    given: dict[str, Value] = {"file": "b.csv", "word": "x", "deep": [{"a": "${{ env.KEY }} $${{ 1 }}"}]}
    _, made = make(template, given)
    assert made.nodes["count"].inputs["note"] == [{"a": "$${{ env.KEY }} $$${{ 1 }}"}]
    assert made.outputs["note"] == made.nodes["count"].inputs["note"]


def test_a_pattern_is_not_tried_on_very_long_texts(hunt: WorkflowTemplate) -> None:
    template, _ = read(HUNT.replace("min_length: 5, max_length: 10, ", ""))
    assert template is not None
    assert template.parameters["file"].wrong("x" * 20_000 + ".csv") is not None
