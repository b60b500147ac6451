"""Write the pages of the reference that are made from code: `python tools/generate_reference.py`."""

import inspect
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeGuard, get_args, get_origin, get_type_hints

import msgspec
from python_reference import page as python_page

from symphony.cli.console import exits
from symphony.cli.reference import reference
from symphony.commons.config import VARIABLE_PREFIX
from symphony.commons.errors import SymphonyError
from symphony.commons.settings import Config
from symphony.kit.template_library import all_templates, folders
from symphony.workflow import builtin_catalog
from symphony.workflow.catalog import OperatorInfo, Port
from symphony.workflow.expressions.library import FUNCTIONS, MACROS, OPERATORS, TYPES

FOLDER = Path(__file__).parents[1] / "docs" / "reference" / "generated"
EFFECTS = {
    "pure": "depends only on its inputs, so it is cached, and can run again at any time",
    "read": "looks at the outside world and changes nothing",
    "write": "changes the outside world",
}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    names = list(head)
    yield f"| {' | '.join(names)} |"
    yield f"|{'---|' * len(names)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|').replace(chr(10), ' ') for cell in row)} |"
    yield ""


def ports(title: str, found: Mapping[str, Port]) -> Iterator[str]:
    if not found:
        return
    rows = (
        (
            f"`{name}`",
            f"`{port.type}`",
            "" if port.default is msgspec.UNSET else f"`{msgspec.json.encode(port.default).decode()}`",
            port.description,
        )
        for name, port in found.items()
    )
    yield from table((title, "type", "default", "meaning"), rows)


def operators() -> Iterator[str]:
    catalog = builtin_catalog()
    yield "# Operators and models\n\nThis page is made from the catalogue of the kit.\n"
    for name, operator in sorted(catalog.operators.items()):
        yield from one_operator(name, operator)
    for name, model in sorted(catalog.models.items()):
        yield f"## `{name}` (model)\n\n{model.summary} Version {model.version}, {model.provider}.\n"
        yield from ports("input", model.inputs)
        yield from ports("output", model.outputs)


def one_operator(name: str, operator: OperatorInfo) -> Iterator[str]:
    repeat = (
        " After a crash it may be repeated." if operator.effect == "write" and operator.idempotent else ""
    )
    yield f"## `{name}`\n\n{operator.summary}\n"
    if operator.help:
        yield f"{operator.help}\n"
    yield f"Version {operator.version}; `{operator.effect}`: {EFFECTS[operator.effect]}.{repeat}\n"
    yield from ports("input", operator.inputs)
    yield from ports("output", operator.outputs)


def templates() -> Iterator[str]:
    yield (
        "# Templates\n\nThis page is made from the templates that ship with Symphony."
        " [Use a template, make your own](../../how-to/use-templates.md)"
        " explains how to use them, and how to make your own.\n"
    )
    for entry in all_templates(folders(None, Path("/"))):
        assert entry.template is not None
        workflow = entry.template.workflow
        yield f"## `{entry.name}`\n\n**{workflow.name}.** {workflow.description}\n"
        rows = (
            (
                f"`{one.name}`",
                f"`{one.spec.type}`" + (", required" if one.required else ""),
                ""
                if one.spec.default is msgspec.UNSET
                else f"`{msgspec.json.encode(one.spec.default).decode()}`",
                one.spec.description,
            )
            for one in entry.template.ordered
        )
        yield from table(("parameter", "type", "default", "meaning"), rows)
        yield f"Outputs: {', '.join(f'`{name}`' for name in workflow.outputs)}.\n"


def cel() -> Iterator[str]:
    yield (
        "# Functions of expressions\n\nThis page lists all functions, macros, types and operators of [CEL]"
        "(https://cel.dev) in Symphony. [Workflow files](../workflow-files.md#expressions) says what an"
        " expression can read.\n"
    )
    for title, entries in (
        ("Functions", FUNCTIONS), ("Macros", MACROS), ("Types", TYPES), ("Operators", OPERATORS)
    ):  # fmt: skip
        yield f"## {title}\n"
        rows = (
            (
                f"`{entry.name}`",
                f"`{entry.form}`" if entry.form else "",
                entry.meaning,
                f"`{entry.example}`",
                f"`{msgspec.json.encode(entry.result).decode()}`",
            )
            for entry in entries
        )
        yield from table(("name", "written", "meaning", "example", "gives"), rows)
    yield (
        '`zone?` is a time zone such as `"Europe/Berlin"` or `"+02:00"`; without it, times are in UTC. Macros'
        " also go through maps, whose keys they visit. Timestamps and durations that leave an expression"
        " become texts.\n"
    )


def settings() -> Iterator[str]:
    yield (
        "# Settings\n\nAll keys with type, default and variable. [Configuration](../configuration.md)"
        " explains what they mean.\n"
    )
    yield from section(Config, ())


def section(kind: type[msgspec.Struct], path: tuple[str, ...]) -> Iterator[str]:
    hints = get_type_hints(kind)
    rows: list[tuple[str, str, str, str]] = []
    below: list[tuple[type[msgspec.Struct], tuple[str, ...]]] = []
    for field in msgspec.structs.fields(kind):
        hint, place = hints[field.name], (*path, field.name)
        structs = [
            one
            for one in (hint, *get_args(hint))
            if isinstance(one, type) and issubclass(one, msgspec.Struct)
        ]
        if structs:
            named = {dict: (*place, "NAME"), tuple: (*place[:-1], f"[{field.name}]")}
            below.append((structs[0], named.get(get_origin(hint), place)))
            continue
        shown = "required" if field.default is msgspec.NODEFAULT else default_of(field.default)
        variable = f"`{VARIABLE_PREFIX}{'__'.join(place).upper()}`"
        if any(one.startswith("[") for one in path):  # a list, which is one variable
            whole = "__".join(one.strip("[]") for one in path).upper()
            variable = f"in `{VARIABLE_PREFIX}{whole}`, as JSON"
        rows.append((f"`{field.name}`", type_name(hint), shown, variable))
    if path:
        name = ".".join(one.strip("[]") for one in path)
        yield f"## `{f'[[{name}]]' if path[-1].startswith('[') else f'[{name}]'}`\n\n{inspect.getdoc(kind)}\n"
    if rows:
        yield from table(("key", "type", "default", "variable"), rows)
    for struct, place in below:
        yield from section(struct, place)


def is_section(kind: object) -> TypeGuard[type[msgspec.Struct]]:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def default_of(value: object) -> str:
    return "" if value is None else f"`{msgspec.json.encode(value).decode()}`"


def type_name(hint: object) -> str:
    if get_origin(hint) is not None and not isinstance(hint, type):
        choices = get_args(hint)
        return " or ".join(repr(c) if isinstance(c, str) else getattr(c, "__name__", str(c)) for c in choices)
    return getattr(hint, "__name__", str(hint))


def errors() -> Iterator[str]:
    yield "# Errors and exit statuses\n\n## Exit statuses\n\nEvery command ends with one of these.\n"
    yield from table(("status", "meaning"), [(str(one), said) for one, said in exits.MEANINGS.items()])
    yield "\n## Errors\n\nEvery error has a stable code. `--json` shows it as `code`.\n"
    yield from table(("code", "exit status", "meaning"), sorted(error_rows(SymphonyError)))


def error_rows(kind: type[SymphonyError]) -> Iterator[tuple[str, str, str]]:
    for below in kind.__subclasses__():
        if below.__module__.startswith("symphony."):
            summary = (below.__doc__ or "").strip().split("\n\n")[0]
            yield f"`{below.code}`", str(exits.of_code(below.code)), " ".join(summary.split())
            yield from error_rows(below)


def import_everything() -> None:
    """So that every error is known."""
    import importlib
    import pkgutil

    import symphony

    for module in pkgutil.walk_packages(symphony.__path__, "symphony."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def main() -> int:
    import_everything()
    FOLDER.mkdir(parents=True, exist_ok=True)
    pages = {
        "command-line": reference(),
        "operators": "\n".join(operators()),
        "settings": "\n".join(settings()),
        "errors": "\n".join(errors()),
        "templates": "\n".join(templates()),
        "cel": "\n".join(cel()),
        "python": python_page("symphony"),
        "testing": python_page("symphony.testing"),
    }
    for name, text in pages.items():
        (FOLDER / f"{name}.md").write_text(text.rstrip() + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
