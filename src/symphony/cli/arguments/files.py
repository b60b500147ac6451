"""Reading what a command line names: workflow files and files of operators."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from symphony.cli.console.failures import CommandRefused

if TYPE_CHECKING:
    from symphony.app import Symphony
    from symphony.app.preparing import PreparedWorkflow
    from symphony.workflow.catalog import Catalog
    from symphony.workflow.model import Workflow
    from symphony.workflow.problems import ValidationReport


def checked(path: Path, catalog: "Catalog") -> "tuple[Workflow, ValidationReport]":
    """The workflow in `path` and the report on it (warnings). Raises CommandRefused if it has errors."""
    from symphony.workflow import check_file

    workflow, report = check_file(path, catalog)
    if workflow is None or not report.ok:
        raise CommandRefused(report, path)
    return workflow, report


def prepared(path: Path, opened: "Symphony") -> "PreparedWorkflow":
    """The workflow in `path`, ready to be run. Raises CommandRefused if it has errors."""
    from symphony.workflow import WorkflowInvalid

    try:
        return opened.prepare(path)
    except WorkflowInvalid as error:
        raise CommandRefused(error.report, path) from None


def catalog_with(operators: Sequence[Path]) -> "Catalog":
    """What workflows may name: the built-in catalogue, the models of the settings, what the files define."""
    import msgspec

    from symphony.app.home import config_of, locate_home
    from symphony.workflow import builtin_catalog

    found, config = builtin_catalog(), config_of(locate_home())
    if config.key_names:
        found = msgspec.structs.replace(found, keys=config.key_names)
    if config.models:
        from symphony.kit.instruments.hosted.configured import configured

        found = msgspec.structs.replace(found, models={**found.models, **configured(config.models)})
    if operators:
        from symphony.sdk import load_operators

        own = {operator.info.name: operator.info for path in operators for operator in load_operators(path)}
        found = msgspec.structs.replace(found, operators={**found.operators, **own})
    return found
