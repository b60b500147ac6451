"""Reading what a command line names: workflow files and files of operators."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from symphony.cli.arguments.finding import given_body, instead_of, source_text
from symphony.cli.console.blocks import STDIN, STDIN_NAME, SourceText
from symphony.cli.console.failures import CommandRefused

if TYPE_CHECKING:
    from symphony.app import Symphony
    from symphony.app.preparing import PreparedWorkflow
    from symphony.workflow.catalog import Catalog, OperatorInfo, OwnOperators
    from symphony.workflow.files import Resolver
    from symphony.workflow.model import Workflow
    from symphony.workflow.problems import ValidationReport


class CheckedFile(msgspec.Struct, frozen=True):
    """A workflow of sound structure, what validation found in it, its text, and what finds its children."""

    workflow: "Workflow"
    report: "ValidationReport"
    source: SourceText
    resolver: "Resolver"


def checked(path: Path, catalog: "Catalog") -> CheckedFile:
    """Return the workflow in `path` (`-`: stdin), with all that is wrong with its meaning.

    Raises CommandRefused if its structure is not sound: then there is nothing to show of it.
    """
    from symphony.workflow.files import checked_bytes, checked_file

    body, resolve = given_body(path), resolver(path)
    if body is None:
        with others_named(path):
            found = checked_file(path, catalog, resolve)
    else:
        found = checked_bytes(body, STDIN_NAME, catalog, resolve)
    source = source_text(path, body)
    if found.workflow is None or found.reading is None or found.reading.problems:
        raise CommandRefused(found.report, source)
    return CheckedFile(found.workflow, found.report, source, resolve)


def resolver(path: Path) -> "Resolver":
    """Finds what the workflow in `path` refers to; files of operators are read, not run."""
    from symphony.workflow import resolver_for

    return resolver_for(path, _read_beside)


def _read_beside(folder: Path, names: Sequence[str]) -> "OwnOperators":
    from symphony.sdk.reading.files import read_beside  # only where a workflow names any

    return read_beside(folder, names)


def operators_in(path: Path) -> "Mapping[str, OperatorInfo]":
    """Return the operators that a Python file defines, or a workflow has of its own: read, not run.

    Raises CommandRefused if the workflow, or what it names, cannot be read.
    """
    from symphony.sdk.reading.files import read_file
    from symphony.workflow import ValidationReport, read

    if path.suffix == ".py":
        return read_file(path).infos
    reading = read(path)
    if reading.workflow is None:
        raise CommandRefused(ValidationReport(errors=reading.problems), SourceText.of(path))
    own = resolver(path).own_operators(reading.workflow.operators)
    if own.problems:
        report = ValidationReport(errors=tuple(map(reading.located, own.problems)))
        raise CommandRefused(report, SourceText.of(path))
    return own.operators


@contextmanager
def others_named(path: Path) -> Iterator[None]:
    """Let the error for a `path` that is no file name the workflows that lie there."""
    from symphony.workflow.files import CHECK_PATH, WorkflowNotFound

    try:
        yield
    except WorkflowNotFound as error:
        if error.hint == CHECK_PATH:
            error.hint = instead_of(path) or error.hint
        raise


def prepared(path: Path, opened: "Symphony", *, load: bool, nodes: Sequence[str] = ()) -> "PreparedWorkflow":
    """Return the workflow in `path` (`-`: stdin), or the part that `nodes` need; `load` runs its
    operator files.

    Raises CommandRefused if it has errors.
    """
    from symphony.workflow import WorkflowInvalid

    body = given_body(path)
    try:
        with others_named(path):
            return opened.prepare(STDIN_NAME if path == STDIN else path, load=load, nodes=nodes, body=body)
    except WorkflowInvalid as error:
        raise CommandRefused(error.report, source_text(path, body)) from None


def catalog_with(operators: Sequence[Path]) -> "Catalog":
    """Return what workflows may name: the built-in catalogue, what the settings add, what the files define.

    All these files are read, not run. Raises OperatorsNotLoaded, OperatorInvalid, ConfigInvalid.
    """
    import msgspec

    from symphony.app.home import config_of, locate_home
    from symphony.workflow import builtin_catalog

    home = locate_home()
    found, config = builtin_catalog(), config_of(home)
    if config.key_names:
        found = msgspec.structs.replace(found, keys=config.key_names)
    if config.models:
        from symphony.kit.instruments.hosted.configured import configured

        found = msgspec.structs.replace(found, models={**found.models, **configured(config.models)})
    if config.operators.files:
        from symphony.app.configured_operators import configured_files, configured_infos

        infos, partial = configured_infos(configured_files(config, home.path))
        found = msgspec.structs.replace(found, operators={**found.operators, **infos}, partial=partial)
    for path in operators:
        from symphony.sdk.reading.files import read_file

        read = read_file(path.absolute())
        partial = (*found.partial, *([str(path)] if read.partial else []))
        found = msgspec.structs.replace(found, operators={**found.operators, **read.infos}, partial=partial)
    return found
