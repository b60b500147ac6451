"""Reads a docstring into summary, help and one description for each named port. Pure."""

import inspect
import re
from collections.abc import Collection

import msgspec

from symphony.commons.lines import lines_of

_ITEM = re.compile(r"(?P<name>[A-Za-z_]\w*)(?: *\([^)]*\))?: +(?P<text>\S.*)")
_SECTIONS = {
    "args:": "inputs",
    "arguments:": "inputs",
    "parameters:": "inputs",
    "inputs:": "inputs",
    "returns:": "outputs",
    "return:": "outputs",
    "outputs:": "outputs",
    "yields:": "outputs",
    "raises:": "text",
    "example:": "text",
    "examples:": "text",
    "note:": "text",
    "notes:": "text",
}


class Docstring(msgspec.Struct):
    """The parts of a docstring; `help` is everything but the summary and the descriptions."""

    summary: str = ""
    help: str = ""
    inputs: dict[str, str] = msgspec.field(default_factory=dict)
    outputs: dict[str, str] = msgspec.field(default_factory=dict)


def parse_docstring(text: str | None, inputs: Collection[str], outputs: Collection[str]) -> Docstring:
    """Return the parts of `text`, given the names of the ports.

    Descriptions are lines `name: text` or `name (type): text`, under Google's section heads or without
    any, continued by more deeply indented lines. A name that is both an input and an output belongs to
    the section it stands in, without a section to the input. The first paragraph is the summary. Free
    text under `Returns:` describes the only output.
    """
    parsed = Docstring()
    if not text:
        return parsed
    lines = lines_of(inspect.cleandoc(text))
    start = next((i for i, line in enumerate(lines) if not line.strip()), len(lines))
    parsed.summary = " ".join(line.strip() for line in lines[:start])
    parsed.help = _read_body(lines[start:], parsed, inputs, outputs)
    return parsed


def _read_body(lines: list[str], parsed: Docstring, inputs: Collection[str], outputs: Collection[str]) -> str:
    """Fill `parsed` with the descriptions in `lines`; return the rest."""
    kept: list[str] = []
    section, held, depth = "", "", -1
    into = parsed.inputs
    for line in lines:
        stripped = line.strip()
        indent = len(line) - len(line.lstrip())
        if held and stripped and indent > depth:
            into[held] += " " + stripped
            continue
        held = ""
        if stripped.lower() in _SECTIONS and indent == 0:
            section = _SECTIONS[stripped.lower()]
            if section == "text":
                kept.append(line)
            continue
        if section and stripped and indent == 0:
            section = ""
        item = _ITEM.fullmatch(stripped)
        if section != "text" and item and (found := _port(item["name"], section, inputs, outputs)):
            into = parsed.inputs if found == "inputs" else parsed.outputs
            held, depth = item["name"], indent
            into[held] = item["text"]
        elif section == "outputs" and stripped and len(outputs) == 1:
            into, held, depth = parsed.outputs, next(iter(outputs)), -1
            into[held] = stripped
        else:
            kept.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()


def _port(name: str, section: str, inputs: Collection[str], outputs: Collection[str]) -> str | None:
    if section == "outputs" and name in outputs:
        return "outputs"
    if name in inputs and section != "outputs":
        return "inputs"
    return "outputs" if name in outputs and not section else None
