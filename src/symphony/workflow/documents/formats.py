"""The formats of workflow files: a name, the endings of their files, a reader and a writer.

A new format is one module with `parse` and `write`, and one line in `_formats`. Any of them may
be compressed with Zstandard, which is told by its first bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath
from typing import Final

from symphony.commons.errors import SymphonyError
from symphony.workflow.documents.compression import SUFFIX, unpacked
from symphony.workflow.documents.tree import (
    BYTES_MAX,
    SCHEMA_BELIEVABLE,
    Document,
    Positions,
    Spot,
    SyntaxProblem,
    Tree,
    too_large,
)

FORMATS: Final = ("yaml", "json", "pretty-json", "toml", "msgpack", "bincode")
"""The names of all formats."""

_BLANKS_MAX: Final = 1_000
_WIDE_MARKS: Final = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


class UnknownFormat(SymphonyError):
    """No format has this name, or a file's ending tells none."""

    code = "unknown-format"


@dataclass(frozen=True, slots=True)
class Format:
    """One way to spell a workflow.

    `parse` raises SyntaxProblem for what is no document. `derived_edges`: are the edges that
    come from shorthands written too, for tools that read no expressions? In a `binary` format
    bytes are bytes, and a key may begin with `$`.
    """

    name: str
    suffixes: tuple[str, ...]
    parse: Callable[[bytes], Document]
    write: Callable[[Tree], bytes]
    derived_edges: bool = False
    binary: bool = False


def _text_format(
    name: str, suffixes: tuple[str, ...], parse: Callable[[str], Document], write: Callable[[Tree], bytes]
) -> Format:
    return Format(name, suffixes, lambda body: parse(text_of(body)), write, derived_edges="json" in name)


@cache
def _formats() -> dict[str, Format]:
    from symphony.workflow.documents import (
        bincode_data,
        json_text,
        msgpack_data,
        toml_text,
        yaml_text,
        yaml_writer,
    )

    known = (
        _text_format("yaml", (".yaml", ".yml"), yaml_text.parse, yaml_writer.write),
        _text_format("json", (".json",), json_text.parse, json_text.write),
        _text_format("pretty-json", (), json_text.parse, json_text.write_pretty),
        _text_format("toml", (".toml",), toml_text.parse, toml_text.write),
        Format("msgpack", (".msgpack",), msgpack_data.parse, msgpack_data.write, binary=True),
        Format("bincode", (".bincode",), bincode_data.parse, bincode_data.write, binary=True),
    )
    return {one.name: one for one in known}


def format_named(name: str) -> Format:
    """The format of that name. Raises UnknownFormat."""
    found = _formats().get(name)
    if found is None:
        hint = f"use one of {', '.join(FORMATS)}"
        raise UnknownFormat(f"there is no format {name[:40]!r}", hint=hint)
    return found


def format_of(path: PurePath) -> Format:
    """The format that a file's ending tells, compressed or not. Raises UnknownFormat."""
    name = path.name.lower().removesuffix(SUFFIX)
    for known in _formats().values():
        if known.suffixes and name.endswith(known.suffixes):
            return known
    endings = ", ".join(suffix for known in _formats().values() for suffix in known.suffixes)
    raise UnknownFormat(
        f"the ending of {path.name!r} tells no format", hint=f"use one of {endings}, or name the format"
    )


def format_of_content(body: bytes) -> Format | None:
    """The format that the first bytes tell, packed or not; None for YAML and TOML, which look like any text.

    Raises SyntaxProblem for what is packed and cannot be unpacked.
    """
    body = unpacked(body)
    first = body[:1]
    if body[:_BLANKS_MAX].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        return format_named("json")
    if b"\x80" <= first <= b"\x8f" or first in (b"\xde", b"\xdf"):
        return format_named("msgpack")
    version = int.from_bytes(body[:4], "little")
    return format_named("bincode") if len(body) > 4 and 1 <= version <= SCHEMA_BELIEVABLE else None


def parse(body: bytes, format_: Format) -> Document:
    """The document in `body`. One that cannot be read at all is not `readable` and has only problems."""
    try:
        body = unpacked(body)
        if len(body) > BYTES_MAX:
            raise too_large()
        return format_.parse(body)
    except SyntaxProblem as error:
        positions = Positions("", lambda: Spot(0))
        return Document(None, (error.problem,), positions, readable=False)


def text_of(body: bytes) -> str:
    """The text that `body` is, in UTF-8 with or without a byte order mark. Raises SyntaxProblem."""
    if body.startswith(_WIDE_MARKS):
        raise SyntaxProblem(
            "syntax", "the text is not UTF-8 but UTF-16 or UTF-32", "save the file as UTF-8", (1, 1)
        )
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        begin = body.rfind(b"\n", 0, error.start) + 1
        column = len(body[begin : error.start].decode("utf-8", "replace")) + 1
        hint = "save the file as UTF-8"
        raise SyntaxProblem("syntax", "the text is not UTF-8", hint, (line, column)) from None
