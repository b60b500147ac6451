"""Reads, writes and converts data files: `data.read`, `data.format`, `files.convert`, `markdown.html`."""

import datetime
import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypedDict

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import read_text_bounded, write_atomic
from symphony.kit.documents import parse as parse_json
from symphony.kit.documents import unfit
from symphony.kit.errors import InputRefused
from symphony.kit.fs import TEXT_BYTES_MAX, destination, make_parents
from symphony.kit.tables import format_table
from symphony.kit.tables import read as read_table
from symphony.kit.toml_moments import with_texts
from symphony.ports.values import Value
from symphony.sdk import Context, operator
from symphony.sdk.plain import to_value

if TYPE_CHECKING:
    from markdown_it.rules_inline import StateInline

DataFormat: TypeAlias = Literal["csv", "json", "jsonl", "yaml", "toml"]
Source: TypeAlias = Literal["auto", "csv", "json", "jsonl", "yaml", "toml"]
Target: TypeAlias = Literal["csv", "json", "jsonl", "yaml", "toml", "html"]

_ENDINGS: Final[dict[str, DataFormat]] = {
    ".csv": "csv", ".tsv": "csv", ".json": "json", ".geojson": "json", ".jsonl": "jsonl",
    ".ndjson": "jsonl", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml",
}  # fmt: skip
_BREAK: Final = re.compile(r"<br[ \t]*/?>", re.IGNORECASE)
_MARKDOWN: Final = (".md", ".markdown")
_PAGE: Final = """\
<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<title>{title}</title>
</head>
<body>
{body}</body>
</html>
"""


class Converted(TypedDict):
    """The result of `files.convert` for one file."""

    source: str
    target: str | None
    size: int
    problem: str | None


@operator("data.read", version="1.1.0", pure=True)
def read(path: Path, context: Context, format: Source = "auto", infer: bool = True) -> object:
    """Read a data file: CSV, JSON, JSON Lines, YAML or TOML.

    A table becomes a list of maps. YAML is read with the core schema of version 1.2, without aliases. TOML
    dates become texts. The file may have at most 16 MiB, a table at most 1,000,000 records.

    path: the file
    format: the file's format; auto goes by the extension
    infer: convert the columns of a table that hold only numbers, or only true and false

    Returns:
        result: what the file holds
    """
    file = context.cwd / path
    kind = _ENDINGS.get(path.suffix.lower()) if format == "auto" else format
    if kind is None:
        raise InputRefused(
            f"the ending of {path.name!r} does not name a format",
            hint=f"say format:, or use {', '.join(_ENDINGS)}",
        )
    if kind == "csv":
        return read_table(context, path=file, infer=infer)["rows"]
    text = read_text_bounded(file, TEXT_BYTES_MAX)
    try:
        return _parsed(text, kind)
    except InputRefused as error:
        raise InputRefused(
            f"{file}: {error.message.removeprefix('input text, ')}", hint=error.hint
        ) from error


def _parsed(text: str, kind: str) -> Value:
    if kind in ("json", "jsonl"):
        return parse_json(text, lines=kind == "jsonl")
    from symphony.workflow.documents import format_named
    from symphony.workflow.documents import parse as parse_document

    if kind == "toml":
        text = with_texts(text)
    document = parse_document(text.encode(), format_named(kind))
    if document.problems:
        first = document.problems[0]
        place = "" if first.line is None else f"line {first.line}, column {first.column}: "
        raise InputRefused(f"{place}{first.message}", hint=first.hint)
    try:
        value = to_value(_plain(document.tree))
    except (TypeError, ValueError) as error:
        raise InputRefused(
            str(error), hint="use texts, numbers, lists and maps with texts for keys"
        ) from error
    if (wrong := unfit(value)) is not None:
        raise InputRefused(f"it holds {wrong}", hint="split it")
    return value


def _plain(tree: object) -> object:
    """Return `value` with dates and times as texts."""
    if isinstance(tree, dict):
        return {key: _plain(item) for key, item in tree.items()}
    if isinstance(tree, list):
        return [_plain(item) for item in tree]
    if isinstance(tree, datetime.date | datetime.time):  # a datetime is also a date
        return tree.isoformat()
    return tree


@operator("data.format", version="1.0.0", pure=True, output="text")
def format_data(data: Value, format: DataFormat = "json") -> str:
    """Write data as text: JSON (indented), JSON Lines, YAML, TOML or CSV.

    data: what to write; a list for JSON Lines, a list of maps for CSV, a map without nulls for TOML
    format: csv, json, jsonl, yaml or toml

    Returns:
        text: the data as text; it ends with a line feed
    """
    return _WRITERS[format](data)


def _json(data: Value) -> str:
    return msgspec.json.format(msgspec.json.encode(_without_bytes(data)), indent=2).decode() + "\n"


def _json_lines(data: Value) -> str:
    return "".join(
        msgspec.json.encode(_without_bytes(item)).decode() + "\n" for item in _listed(data, "jsonl")
    )


def _yaml(data: Value) -> str:
    from symphony.workflow.documents import yaml_writer

    return yaml_writer.write(_without_bytes(data)).decode()


def _toml(data: Value) -> str:
    from symphony.workflow.documents import toml_writer

    if not isinstance(data, dict):
        raise InputRefused("TOML holds a map, and this is not a map", hint="choose another format")
    if (place := _null_in(data, "")) is not None:
        raise InputRefused(f"TOML knows no null, and there is one at {place}", hint="choose another format")
    return toml_writer.write(_mapped(_without_bytes(data)))


def _mapped(data: Value) -> dict[str, Value]:
    assert isinstance(data, dict)
    return data


def _csv(data: Value) -> str:
    return format_table(_listed(data, "csv"))


def _listed(data: Value, kind: str) -> list[Value]:
    if not isinstance(data, list):
        raise InputRefused(f"{kind} holds a list, and this is not a list", hint="choose another format")
    return data


_WRITERS: Final[dict[str, Callable[[Value], str]]] = {
    "csv": _csv,
    "json": _json,
    "jsonl": _json_lines,
    "yaml": _yaml,
    "toml": _toml,
}


def _without_bytes(data: Value) -> Value:
    if isinstance(data, bytes):
        raise InputRefused("data holds bytes, which this format does not know", hint="decode them first")
    if isinstance(data, list):
        return [_without_bytes(item) for item in data]
    return {key: _without_bytes(item) for key, item in data.items()} if isinstance(data, dict) else data


def _null_in(data: Value, place: str) -> str | None:
    if data is None:
        return place
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return next((found for key, item in items if (found := _null_in(item, f"{place}.{key}"))), None)


@operator("markdown.html", version="1.1.0", pure=True, output="html")
def markdown_html(text: str, title: str | None = None, raw: bool = False) -> str:
    """Convert Markdown to HTML (CommonMark with tables and strike-through).

    text: the Markdown
    title: the title of a complete page; null for the body alone
    raw: pass HTML in the text through; otherwise all HTML but `<br>` is shown as text, and only links that
        are safe to click become links

    Returns:
        html: the HTML
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": raw}).enable(["table", "strikethrough"])
    if not raw:
        parser.inline.ruler.before("html_inline", "line_break", _line_break)
    body = str(parser.render(text))
    return body if title is None else _PAGE.format(title=html.escape(title), body=body)


def _line_break(state: "StateInline", silent: bool) -> bool:
    """Render `<br>`, the only way to write a line break into a table cell."""
    found = _BREAK.match(state.src, state.pos)
    if found is None:
        return False
    if not silent:
        state.push("hardbreak", "br", 0)
    state.pos = found.end()
    return True


@operator("files.convert", version="1.0.0", idempotent=True)
def convert(path: Path, to: Target, target: str, context: Context) -> Converted:
    """Convert a file to another format: between tables and data, or Markdown to HTML.

    If the file cannot be read, or written in the new format, `problem` says why and the node does not fail;
    nothing is written then. The new file is whole or absent.

    path: the file; its extension gives its format
    to: csv, json, jsonl, yaml, toml, or html (from Markdown)
    target: where to write, below the caller's directory if relative

    Returns:
        source: the file
        target: the absolute path of the new one; null if there is none
        size: its bytes
        problem: why there is no new file; null if there is one
    """
    try:
        if (to == "html") != (path.suffix.lower() in _MARKDOWN):
            raise InputRefused("only Markdown becomes HTML, and Markdown becomes only HTML")
        if to == "html":
            text = read_text_bounded(context.cwd / path, TEXT_BYTES_MAX)
            body = markdown_html(text, title=path.stem)
        else:
            body = format_data(to_value(read(path, context)), to)
        place = destination(target, context)
        make_parents(place)
        encoded = body.encode()
        write_atomic(place, encoded)
    except SymphonyError as error:
        if error.code in ("path-escapes", "cancelled"):
            raise
        return Converted(source=str(path), target=None, size=0, problem=error.message)
    return Converted(source=str(path), target=str(place), size=len(encoded), problem=None)
