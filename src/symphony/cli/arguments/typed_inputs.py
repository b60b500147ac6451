"""Inputs as they are typed: `KEY=VALUE`, and `KEY=FILE` for what does not fit on a command line."""

import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Final

from symphony.cli.console.blocks import STDIN
from symphony.cli.console.failures import BadUsage, CommandRefused
from symphony.workflow.inputs import bind_inputs, parse_inputs, parse_value
from symphony.workflow.problems import Code, Problem, ValidationReport

if TYPE_CHECKING:
    from symphony.ports.values import Value
    from symphony.workflow.model import Workflow
    from symphony.workflow.types import PortType

BYTES_MAX: Final = 64 * 1024 * 1024


def require_one_reader(file: Path | None, from_files: Sequence[str]) -> None:
    """Raises BadUsage if more than one of the workflow and the inputs is to be read from stdin."""
    readers = ["FILE"] * (file == STDIN)
    readers += [f"--input-file {text}" for text in from_files if text.endswith("=-")]
    if len(readers) > 1:
        raise BadUsage(f"stdin is read once, and {' and '.join(readers)} want it",
                       hint="give all but one of them as files")  # fmt: skip


def refuse_spaces(typed: Sequence[str], from_files: Sequence[str], words: Sequence[str]) -> None:
    """Raises BadUsage if the other `words` of a command line show an = that has spaces around it."""
    begin = next((at for at, word in enumerate(words) if word.startswith("=")), None)
    if begin is None:
        return
    given = [*(("--input", one) for one in typed), *(("--input-file", one) for one in from_files)]
    option, name = next((pair for pair in given if "=" not in pair[1]), ("--input", "KEY"))
    value = words[begin][1:] or "".join(words[begin + 1 : begin + 2]) or "VALUE"
    raise BadUsage("there are spaces around an =", hint=f"write {option} {quote(f'{name}={value}')}")


def given_inputs(
    workflow: "Workflow", typed: Sequence[str], from_files: Sequence[str], *, cwd: Path
) -> "dict[str, Value]":
    """Return the inputs of a run, bound and checked. Raises CommandRefused with everything that is wrong."""
    values, unread = parse_inputs(workflow, [pair(text, "--input") for text in typed])
    problems = list(unread)
    for name, file in [pair(text, "--input-file") for text in from_files]:
        if name in values:
            problems.append(
                _problem("duplicate-name", name, f"input {name!r} is given twice", "give it once")
            )
            continue
        spec = workflow.inputs.get(name)
        values[name] = ""
        if spec is not None:
            try:
                values[name] = _from_file(file, spec.type)
            except OSError as error:
                problems.append(_unread(name, file, error))
            except ValueError as error:
                problems.append(_problem("type-mismatch", name, f"input {name!r} from {file}: {error}",
                                         f"expected {spec.type}"))  # fmt: skip
    named = {problem.place for problem in problems}
    bound, wrong = bind_inputs(workflow, values, cwd=cwd)
    # A value that could not be read has been reported already.
    problems += [problem for problem in wrong if problem.place not in named]
    if problems:
        raise CommandRefused(ValidationReport(errors=tuple(problems)))
    return bound


def changed_inputs(workflow: "Workflow", typed: Sequence[str]) -> "dict[str, Value]":
    """Return the values that were typed, each for itself; others stay as they were. Raises CommandRefused."""
    values, problems = parse_inputs(workflow, [pair(text, "--input") for text in typed])
    if problems:
        raise CommandRefused(ValidationReport(errors=problems))
    return values


def pair(text: str, option: str) -> tuple[str, str]:
    """Return the two sides of `KEY=VALUE`. Raises BadUsage."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise BadUsage(f"{option} {text!r} is not KEY={'FILE' if option == '--input-file' else 'VALUE'}",
                       hint=f"such as {option} limit=20")  # fmt: skip
    return name, value


def _from_file(name: str, target: "PortType") -> "Value":
    if name == "-":
        body = sys.stdin.buffer.read(BYTES_MAX + 1)
    else:
        with Path(name).open("rb") as file:
            body = file.read(BYTES_MAX + 1)
    if len(body) > BYTES_MAX:
        raise ValueError(f"it is larger than {BYTES_MAX // 1024 // 1024} MiB; give its path instead")
    if target.kind in ("bytes", "artifact"):
        return body
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    return text if target.kind == "any" else parse_value(text, target)


def _unread(name: str, file: str, error: OSError) -> Problem:
    """Return the problem of a `file` that cannot be read."""
    if isinstance(error, FileNotFoundError):
        hint = f"check the path; for the value itself: --input {name}=VALUE"
        return _problem("missing-input", name, f"input {name!r}: there is no file {file}", hint)
    why = error.strerror or type(error).__name__
    return _problem("missing-input", name, f"input {name!r}: cannot read {file}: {why}", "check the path")


def _problem(code: Code, name: str, message: str, hint: str) -> Problem:
    return Problem(code=code, place=f"inputs.{name}", message=message, hint=hint)
