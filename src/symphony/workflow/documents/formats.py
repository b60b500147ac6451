"""The formats of workflow files: a name, the endings of their files, a reader and a writer."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

from symphony.commons.errors import SymphonyError
from symphony.workflow.documents import json_text, toml_text, yaml_text
from symphony.workflow.documents.tree import BYTES_MAX, Document, SyntaxProblem, Tree


class UnknownFormat(SymphonyError):
    """No format has this name, or a file's ending tells none."""

    code = "unknown-format"


@dataclass(frozen=True, slots=True)
class Format:
    """One way to spell a workflow. `null` tells whether null must be spelled as a map."""

    name: str
    suffixes: tuple[str, ...]
    parse: Callable[[bytes], Document]
    write: Callable[[Tree], bytes]
    null: bool = False


def _write_json(tree: Tree) -> bytes:
    return json.dumps(tree, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _write_pretty(tree: Tree) -> bytes:
    return json.dumps(tree, ensure_ascii=False, allow_nan=False, indent=2).encode() + b"\n"


def _write_toml(tree: Tree) -> bytes:
    import tomli_w

    assert isinstance(tree, dict)
    return tomli_w.dumps(tree).encode()


def _write_yaml(tree: Tree) -> bytes:
    import yaml

    class Writer(yaml.SafeDumper):
        """Quotes whatever an older or newer reader might not take for text."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    def text(writer: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        style = None if _PLAIN.fullmatch(value) and yaml_text.scalar(value) == value else '"'
        if style and "\n" in value and re.fullmatch(r"[\x20-\x7e\n]*[!-~]\n?", value) and value[0] not in " \n":
            style = "|"
        return writer.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    def number(writer: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
        shown = repr(value)
        if "e" in shown and "." not in shown:
            shown = shown.replace("e", ".0e")
        return writer.represent_scalar("tag:yaml.org,2002:float", shown)

    Writer.add_representer(str, text)
    Writer.add_representer(float, number)
    out = io.StringIO()
    yaml.dump(tree, out, Dumper=Writer, sort_keys=False, allow_unicode=True, width=110, default_flow_style=False)
    return out.getvalue().encode()


_PLAIN = re.compile(r"(?!(?:on|off|yes|no|y|n|true|false|null)\Z)[A-Za-z_][A-Za-z0-9_ ./-]*[A-Za-z0-9_/]|[A-Za-z_]", re.IGNORECASE)

FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format("yaml", (".yaml", ".yml"), yaml_text.parse, _write_yaml),
        Format("json", (".json",), json_text.parse, _write_json),
        Format("pretty-json", (".pretty.json",), json_text.parse, _write_pretty),
        Format("toml", (".toml",), toml_text.parse, _write_toml, null=True),
    )
}


def format_named(name: str) -> Format:
    """Raises UnknownFormat."""
    try:
        return FORMATS[name]
    except KeyError:
        raise UnknownFormat(f"there is no format {name!r}", hint=f"use one of {', '.join(FORMATS)}") from None


def format_of(path: PurePath) -> Format:
    """The format that a file's ending tells. Raises UnknownFormat."""
    for known in FORMATS.values():
        if path.name.lower().endswith(known.suffixes):
            return known
    endings = ", ".join(suffix for known in FORMATS.values() for suffix in known.suffixes)
    raise UnknownFormat(f"the ending of {path.name!r} tells no format", hint=f"use one of {endings}, or name the format")


def parse(data: bytes, format: Format) -> Document:
    """The document in `data`; one that cannot be read at all has only problems."""
    try:
        if len(data) > BYTES_MAX:
            raise SyntaxProblem(
                "limit-exceeded", f"the document has {len(data)} bytes, at most {BYTES_MAX} are allowed",
                "move large values into files of their own",
            )  # fmt: skip
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            column = error.start - data.rfind(b"\n", 0, error.start)
            raise SyntaxProblem("syntax", "the text is not UTF-8", "save the file as UTF-8", (line, column)) from None
        return format.parse(data.removeprefix(b"\xef\xbb\xbf"))
    except SyntaxProblem as error:
        return Document(None, [error.problem])
