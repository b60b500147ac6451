"""The formats of workflow files: a name, file extensions, a reader and a writer.

A new format is one module with `parse` and `write`, and one line in `_FORMATS`. Any of them may be compressed
with Zstandard, which is recognised by its first bytes.
"""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import PurePath
from typing import Final

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.commons.lines import column_number, line_number
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

_BLANKS_MAX: Final = 1_000
_WIDE_MARKS: Final = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


class UnknownFormat(SymphonyError):
    """No format has this name, or the file's extension does not name a format."""

    code = "unknown-format"


class Format(msgspec.Struct, frozen=True):
    """One way to spell a workflow.

    `reader` and `writer` are `MODULE:FUNCTION` of this package, imported when they are used.
    `derived_edges` says whether implicit edges are written too, for tools that do not read expressions. In a
    `binary` format bytes are bytes, and a key may begin with `$`.
    """

    name: str
    suffixes: tuple[str, ...]
    reader: str
    writer: str
    derived_edges: bool = False
    binary: bool = False

    def parse(self, body: bytes) -> Document:
        """Return the document in `body`. Raises SyntaxProblem."""
        found = _function(self.reader)(body if self.binary else text_of(body))
        assert isinstance(found, Document)
        return found

    def write(self, tree: Tree) -> bytes:
        """Write the document for `tree`. Raises SerializationFailed if the format cannot express it."""
        made = _function(self.writer)(tree)
        assert isinstance(made, bytes)
        return made


@cache
def _function(home: str) -> Callable[[object], object]:
    module, _, name = home.partition(":")
    found: Callable[[object], object] = getattr(import_module(f"symphony.workflow.documents.{module}"), name)
    return found


_FORMATS: Final = {
    one.name: one
    for one in (
        Format("yaml", (".yaml", ".yml"), "yaml_text:parse", "yaml_writer:write"),
        Format("json", (".json",), "json_text:parse", "json_text:write", derived_edges=True),
        Format("pretty-json", (), "json_text:parse", "json_text:write_pretty", derived_edges=True),
        Format("toml", (".toml",), "toml_text:parse", "toml_text:write"),
        Format("msgpack", (".msgpack",), "msgpack_data:parse", "msgpack_data:write", binary=True),
        Format("bincode", (".bincode",), "bincode_data:parse", "bincode_data:write", binary=True),
    )
}
FORMATS: Final = tuple(_FORMATS)
"""The names of all formats."""


def format_named(name: str) -> Format:
    """Return the format of that name. Raises UnknownFormat."""
    found = _FORMATS.get(name)
    if found is None:
        hint = f"use one of {', '.join(FORMATS)}"
        raise UnknownFormat(f"there is no format {name[:40]!r}", hint=hint)
    return found


def format_of(path: PurePath) -> Format:
    """Return the format that a file's extension names, compressed or not. Raises UnknownFormat."""
    name = path.name.lower().removesuffix(SUFFIX)
    for known in _FORMATS.values():
        if known.suffixes and name.endswith(known.suffixes):
            return known
    endings = ", ".join(suffix for known in _FORMATS.values() for suffix in known.suffixes)
    raise UnknownFormat(
        f"the ending of {path.name!r} does not name a format",
        hint=f"use one of {endings}, or name the format",
    )


def format_of_content(body: bytes) -> Format | None:
    """Return the format that the first bytes tell, packed or not; None for YAML and TOML, which look
    like any text.

    Compressed content that cannot be unpacked counts as YAML; its reader reports the damage.
    """
    try:
        body = unpacked(body)
    except SyntaxProblem:
        return format_named("yaml")
    first = body[:1]
    if body[:_BLANKS_MAX].lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        return format_named("json")
    if b"\x80" <= first <= b"\x8f" or first in (b"\xde", b"\xdf"):
        return format_named("msgpack")
    version = int.from_bytes(body[:4], "little")
    return format_named("bincode") if len(body) > 4 and 1 <= version <= SCHEMA_BELIEVABLE else None


def parse(body: bytes, format_: Format) -> Document:
    """Return the document in `body`. One that cannot be read at all is not `readable` and has only
    problems.
    """
    try:
        body = unpacked(body)
        if len(body) > BYTES_MAX:
            raise too_large()
        return format_.parse(body)
    except SyntaxProblem as error:
        positions = Positions("", lambda: Spot(0))
        return Document(None, (error.problem,), positions, readable=False)


def text_of(body: bytes) -> str:
    """Decode `body` as UTF-8, with or without a byte order mark. Raises SyntaxProblem."""
    if body.startswith(_WIDE_MARKS):
        raise SyntaxProblem(
            "syntax", "the text is not UTF-8 but UTF-16 or UTF-32", "save the file as UTF-8", (1, 1)
        )
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = body[: error.start].decode("utf-8", "replace")
        position = line_number(before, len(before)), column_number(before, len(before))
        hint = "save the file as UTF-8"
        raise SyntaxProblem("syntax", "the text is not UTF-8", hint, position) from None


def format_of_file(path: PurePath, body: bytes) -> Format:
    """Return the format that the file's extension names, or else its content `body`. Raises UnknownFormat."""
    try:
        return format_of(path)
    except UnknownFormat:
        found = format_of_content(body)
        if found is None:
            raise
        return found
