"""`python -m symphony.cli.reference`: prints the reference of the command line, made from the commands."""

import inspect
import re
import sys
from collections.abc import Iterator

import click

from symphony.cli.console import output
from symphony.cli.main import PROGRAM, root
from symphony.commons.lines import lines_of


def reference() -> str:
    """Return the whole reference."""
    parts = [
        f"# The `{PROGRAM}` command",
        "",
        "This page is made from the commands themselves by `python -m symphony.cli.reference`.",
        "",
        *_body(root),
    ]
    # A command keeps the help option that its first context asks for: the program's own, also here.
    top = root.context_class(
        root, info_name=PROGRAM, help_option_names=root.context_settings["help_option_names"]
    )
    for path, command in _commands(root, (PROGRAM,), top):
        context = click.Context(command, info_name=" ".join(path), parent=top)
        usage = " ".join(command.collect_usage_pieces(context))
        parts += ["", f"{'#' * min(len(path), 4)} `{' '.join(path)}`", ""]
        parts += ["```text", f"{' '.join(path)} {usage}", "```", "", *_body(command)]
    return "\n".join(parts).rstrip() + "\n"


def _commands(
    group: click.Group, path: tuple[str, ...], top: click.Context
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in group.list_commands(top):
        command = group.get_command(top, name)
        assert command is not None
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name), top)


def _body(command: click.Command) -> list[str]:
    """Return the help as paragraphs, then a table of options."""
    lines = _paragraphs(inspect.cleandoc(command.help or ""))
    rows = [_row(p) for p in command.params if isinstance(p, click.Option) and not p.hidden]
    return [*lines, "", "| option | meaning |", "|---|---|", *rows] if rows else lines


def _paragraphs(text: str) -> list[str]:
    """click marks a paragraph that must keep its lines with a line of one backspace character."""
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith("\b\n"):
            lines += ["```sh", *lines_of(paragraph.removeprefix("\b\n")), "```", ""]
        else:
            lines += [paragraph, ""]
    return lines[:-1]


def _row(option: click.Option) -> str:
    value = "" if option.is_flag else f" {_metavar(option)}"
    default = f" Default: {option.default}." if option.show_default else ""
    names = ", ".join(option.opts)
    return f"| `{_cell(names + value)}` | {_cell((option.help or '') + default)} |"


def _metavar(option: click.Option) -> str:
    if option.metavar is not None:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "|".join(map(str, option.type.choices))
    return re.sub(r" RANGE$", "", option.type.name.upper())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Print it."""
    output.prepare()
    output.say(reference())
    return 0


if __name__ == "__main__":
    sys.exit(main())
