"""Completions of the words on a command line. Whatever goes wrong: no completion, no noise."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import click

LIMIT: Final = 200


def runs(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """`last` and the names of the newest runs, and ids once something is typed."""
    return _safely(lambda: _runs(incomplete), incomplete)


def artifacts(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of the newest artifacts, and digests once something is typed."""
    return _safely(lambda: _artifacts(incomplete), incomplete)


def artifact_names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of the newest artifacts."""
    return _safely(lambda: _artifacts(""), incomplete)


def operators(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of the built-in operators."""
    return _safely(_operators, incomplete)


def inputs(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """`KEY=` for the inputs of the workflow that stands on the command line already."""
    return _safely(lambda: _inputs(_argument(ctx, "file")), incomplete)


def workflow_nodes(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of the nodes of the workflow that stands on the command line already."""
    return _safely(lambda: _workflow_nodes(_argument(ctx, "file")), incomplete)


def outputs(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of the outputs of the workflow or the run that stands on the command line already."""
    return _safely(lambda: _outputs(ctx.params.get("file"), _argument(ctx, "run")), incomplete)


def templates(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of templates."""
    return _safely(_templates, incomplete)


def parameters(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """`KEY=` for the parameters of the template that stands on the command line already."""
    return _safely(lambda: _parameters(_argument(ctx, "name")), incomplete)


def nodes(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of the nodes of the run that stands on the command line already.

    Elements and rounds, which may be many, are named once a bracket or a # is typed.
    """
    return _safely(lambda: _nodes(_argument(ctx, "run"), incomplete), incomplete)


def _argument(ctx: click.Context, name: str) -> object:
    """Return the value of the first argument. click leaves it unnamed where an option lacks its value
    still.
    """
    return ctx.params.get(name) or next(iter(ctx.args), None)


def _safely(candidates: Callable[[], Iterable[str]], incomplete: str) -> list[str]:
    try:
        return [word for word in candidates() if word.startswith(incomplete)][:LIMIT]
    except Exception:  # noqa: BLE001  (a completion that fails must not print into somebody's prompt)
        return []


def _runs(incomplete: str) -> Iterable[str]:
    from symphony.app import Symphony

    opened = Symphony.open().runs
    found = opened.list(limit=LIMIT)
    shorts = opened.shorts([run.run_id for run in found])
    yield from ["last", *(run.name or shorts[run.run_id] for run in found)]
    if incomplete:
        for run in found:
            yield from [shorts[run.run_id], run.run_id] if run.name else [run.run_id]


def _artifacts(incomplete: str) -> Iterable[str]:
    from symphony.app import Symphony

    for record in Symphony.open().artifacts.records(limit=LIMIT):
        yield from record.names
        if incomplete:
            yield from [*(record.labels if "@" in incomplete else ()), record.digest]


def _operators() -> Iterable[str]:
    from symphony.workflow import builtin_catalog

    return sorted(builtin_catalog().operators)


def _inputs(file: object) -> Iterable[str]:
    from symphony.workflow import read

    reading = read(_here(file))
    return [] if reading.workflow is None else [f"{name}=" for name in reading.workflow.inputs]


def _outputs(file: object, run: object) -> Iterable[str]:
    from symphony.app import Symphony
    from symphony.workflow import read

    if file is not None:
        reading = read(Path(str(file)))
        return [] if reading.workflow is None else list(reading.workflow.outputs)
    runs = Symphony.open().runs
    return list(runs.result(runs.find(str(run))).outputs)


def _workflow_nodes(file: object) -> Iterable[str]:
    from symphony.workflow import read

    reading = read(_here(file))
    return [] if reading.workflow is None else reading.workflow.nodes


def _here(file: object) -> Path:
    """Return the file that is meant: the default one if none was typed."""
    from symphony.cli.arguments.finding import workflow_here

    return workflow_here(None if file is None else Path(str(file)))


def _templates() -> Iterable[str]:
    from symphony.cli.arguments.templates import known

    return [entry.name for entry in known()]


def _parameters(name: object) -> Iterable[str]:
    from symphony.cli.arguments.templates import find

    template = find(str(name)).template
    return [] if template is None else [f"{parameter}=" for parameter in template.parameters]


def _nodes(run: object, incomplete: str) -> Iterable[str]:
    from symphony.app import Symphony

    runs = Symphony.open().runs
    hidden = [mark for mark in "[#" if mark not in incomplete]
    names = runs.result(runs.find(str(run))).nodes
    return [name for name in names if not any(mark in name for mark in hidden)]
