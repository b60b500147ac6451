"""Templates on the command line: what is known of them, what is asked for, what is written."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from symphony.app import spelling
from symphony.cli.arguments.typed_inputs import pair
from symphony.cli.console import failures, output
from symphony.cli.console.failures import BadUsage, CommandRefused
from symphony.cli.console.tables import Heading, room, table
from symphony.commons.filesystem import write_atomic
from symphony.kit.template_library import SUFFIXES, LibraryEntry, all_templates, find_template, folders
from symphony.workflow.problems import ValidationReport
from symphony.workflow.templates import Parameter, WorkflowTemplate, example_of, wanted

if TYPE_CHECKING:
    from symphony.ports.values import Value
    from symphony.workflow.catalog import Catalog
    from symphony.workflow.documents import UnknownFormat
    from symphony.workflow.model import Workflow


@dataclass(frozen=True, slots=True)
class Made:
    """A workflow made from a template, as text and as value; `report` holds only warnings."""

    body: bytes
    workflow: "Workflow"
    report: ValidationReport


def known() -> list[LibraryEntry]:
    """Return every template."""
    from symphony.app import find_home

    return all_templates(folders(find_home(), Path.cwd()))


def find(name: str) -> LibraryEntry:
    """One template. Raises as `find_template` does."""
    from symphony.app import find_home

    entry = find_template(name, folders(find_home(), Path.cwd()))
    if entry.shadows:
        path = output.shown(str(entry.path))
        output.note(f"warning: {path} takes the place of the template {name} that ships with Symphony")
    return entry


def matches(entry: LibraryEntry, words: Sequence[str]) -> bool:
    """True if the template mentions all `words`."""
    texts = [entry.name]
    if entry.template is not None:
        workflow = entry.template.workflow
        texts += [workflow.name, workflow.description, *workflow.tags, *entry.template.parameters]
        texts += [one.spec.description for one in entry.template.parameters.values()]
    whole = "\n".join(texts).lower()
    return all(word.lower() in whole for word in words)


# ---- telling ------------------------------------------------------------------------------


def say_list(entries: Sequence[LibraryEntry], *, as_json: bool) -> None:
    """Print one line for each."""
    if as_json:
        output.say_json([_summary(entry) for entry in entries])
        return
    rows = [(entry.name, _from(entry), output.brief(_about(entry), 400)) for entry in entries]
    head = ("TEMPLATE", Heading("FROM", rank=2), Heading("", rank=1, least=16))
    output.say(table(rows, head, width=room()) if rows else "none found\n")


def _from(entry: LibraryEntry) -> str:
    return f"{entry.origin}, in place of symphony's" if entry.shadows else entry.origin


def _about(entry: LibraryEntry) -> str:
    if entry.template is None:
        first = entry.problems[0]
        return f"cannot be used: {first.place}: {first.message}"
    return entry.template.workflow.description or entry.template.workflow.name


def _summary(entry: LibraryEntry) -> dict[str, spelling.JSON]:
    about: dict[str, spelling.JSON] = {
        "name": entry.name, "from": entry.origin, "shadows": entry.shadows,
        "path": str(entry.path.absolute()),
        "problems": [spelling.problem(problem) for problem in entry.problems],
    }  # fmt: skip
    if entry.template is not None:
        workflow = entry.template.workflow
        about |= {
            "title": workflow.name, "version": workflow.version, "description": workflow.description,
            "tags": list(workflow.tags),
        }  # fmt: skip
    return about


def document(entry: LibraryEntry) -> dict[str, spelling.JSON]:
    """Return all about one template as JSON."""
    assert entry.template is not None
    parameters: list[spelling.JSON] = [_parameter_document(one) for one in entry.template.ordered]
    return _summary(entry) | {"parameters": parameters, "outputs": list(entry.template.workflow.outputs)}


def _parameter_document(one: Parameter) -> dict[str, spelling.JSON]:
    import msgspec

    about: dict[str, spelling.JSON] = {
        "name": one.name, "type": str(one.spec.type), "required": one.required,
        "description": one.spec.description, "min": one.spec.min, "max": one.spec.max,
        "pattern": one.pattern, "min_length": one.min_length, "max_length": one.max_length,
        "choices": list(one.spec.type.choices), "examples": [spelling.spelled(e) for e in one.examples],
        "label": one.label or one.name, "group": one.group, "widget": one.widget, "order": one.order,
        "input": one.input,
    }  # fmt: skip
    if one.spec.default is not msgspec.UNSET:
        about["default"] = spelling.spelled(one.spec.default)
    return about


def text(entry: LibraryEntry) -> str:
    """Return all about one template."""
    assert entry.template is not None
    workflow = entry.template.workflow
    lines = [f"{entry.name} {workflow.version}: {output.shown(workflow.name)}"]
    if workflow.description:
        lines.append(output.shown(workflow.description, lines=True).strip())
    lines.append(f"\nfrom {entry.origin}: {output.shown(str(entry.path))}")
    group = None
    for one in entry.template.ordered:
        if one.group != group:
            group = one.group
            lines.append(f"\nparameters{f', {output.shown(group)}' if group else ''}:")
        lines += _parameter_lines(one)
    if workflow.outputs:
        lines.append(f"\noutputs: {output.shown(', '.join(workflow.outputs))}")
    needed = "".join(
        f" -p {one.name}={_typed_example(one)}" for one in entry.template.ordered if one.required
    )
    lines.append(f"\nuse it: symphony template use {entry.name}{needed} --run")
    return "\n".join(lines) + "\n"


def _parameter_lines(one: Parameter) -> list[str]:
    import json

    import msgspec

    default = " (required)" if one.required else ""
    if one.spec.default is not msgspec.UNSET:
        spelled = json.dumps(spelling.spelled(one.spec.default), ensure_ascii=False)
        default = " = " + output.brief(spelled, 60)
    lines = [f"  {output.shown(one.name)}: {output.brief(wanted(one), 100)}{default}"]
    if one.spec.description:
        lines.append(f"      {output.shown(one.spec.description)}")
    return lines


def _typed_example(one: Parameter) -> str:
    import shlex

    example = example_of(one)
    return shlex.quote(output.shown(example)) if example is not None else one.spec.type.kind.upper()


# ---- making -------------------------------------------------------------------------------


def check_target(target: Path | None, *, force: bool) -> None:
    """Raise BadUsage if `target` must not be written; UnknownFormat if its extension names none."""
    if target is None:
        return
    if target.suffix.lower() not in SUFFIXES:
        raise _unknown_ending(target)
    if target.is_dir():
        raise BadUsage(f"{target} is a folder", hint=f"name a file: --output {target / 'workflow.yaml'}")
    if not force and (target.exists() or target.is_symlink()):
        raise BadUsage(f"{target} exists already", hint="name another file with --output, or say --force")


def _unknown_ending(path: Path) -> "UnknownFormat":
    from symphony.workflow.documents import UnknownFormat

    return UnknownFormat(
        f"the ending of {path.name!r} does not name a format for templates",
        hint=f"use one of {', '.join(SUFFIXES)}",
    )


def make(
    entry: LibraryEntry, params: Sequence[str], target: Path | None, catalog: "Catalog", *, ask: bool
) -> Made:
    """Return the workflow. Raises CommandRefused with everything that is wrong with the parameters."""
    from symphony.workflow.documents import format_named, format_of
    from symphony.workflow.templates.making import made_workflow

    template = entry.template
    assert template is not None
    values, unread = template.parse([pair(text, "--param") for text in params])
    places = {problem.place for problem in unread}
    problems = [*unread, *(one for one in template.check(values) if one.place not in places)]
    if problems and all(one.code == "missing-input" for one in problems) and ask and _at_a_terminal():
        problems, values = [], values | _asked(template, values)
    if problems:
        raise CommandRefused(ValidationReport(errors=tuple(problems)))
    kind = format_named("yaml") if target is None else format_of(target)
    body, reading, report = made_workflow(template, values, catalog, kind, name=entry.name)
    if reading.workflow is None or not report.ok:
        raise CommandRefused(report)
    return Made(body, reading.workflow, report)


def _at_a_terminal() -> bool:
    return output.is_terminal(sys.stdin) and output.is_terminal(sys.stderr)


def _asked(template: WorkflowTemplate, given: "dict[str, Value]") -> "dict[str, Value]":
    """Return a value for each missing parameter, asked for until it is right."""
    values: dict[str, Value] = {}
    for one in template.ordered:
        while one.required and one.name not in given and one.name not in values:
            label = output.shown(one.label or one.name)
            output.note(f"{label}: {output.shown(one.spec.description or wanted(one))}")
            typed = click.prompt(f"  {output.shown(one.name)}", err=True)
            parsed, problems = template.parse([(one.name, str(typed))])
            why = problems[0].message if problems else one.wrong(parsed[one.name])
            if why is None:
                values |= parsed
            else:
                output.note(f"  {output.shown(why)}; expected {output.shown(wanted(one))}")
    return values


def write(made: Made, target: Path, *, force: bool) -> None:
    """Write the file, whole or not at all. Raises BadUsage if it has come there meanwhile; IoFailed."""
    from symphony.commons.errors import IoFailed

    try:
        write_atomic(target.resolve() if force else target, made.body, new=not force)
    except IoFailed as error:
        if isinstance(error.__cause__, FileExistsError):
            check_target(target, force=force)
        raise
    failures.warn(made.report, target)


def say_written(entry: LibraryEntry, target: Path, *, as_json: bool) -> None:
    """Tell where it is and what to do next."""
    if as_json:
        output.say_json({"template": entry.name, "path": str(target.absolute())})
        return
    output.say(f"wrote {output.shown(str(target))}\n")
    output.note(f"next: symphony run {output.shown(str(target))}")
