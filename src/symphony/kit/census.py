"""Finds notes to self and licences in source files: `code.census`."""

import re
from pathlib import Path
from typing import Annotated, Final, TypedDict

from symphony.commons.cutting import beginning
from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import FileTooLarge, read_bounded
from symphony.commons.lines import lines_of
from symphony.kit.errors import InputRefused
from symphony.sdk import Context, operator
from symphony.workflow.types import ANY, PortType

FILE_BYTES_MAX: Final = 2 * 1024 * 1024
_SNIFF: Final = 8 * 1024
_HEAD_LINES: Final = 60
_NOTE_CHARS: Final = 300
_WORD: Final = re.compile(r"[A-Za-z]{2,30}")
_MARKS: Final = re.compile(r"(#|//|/\*|^\s*\*|--|;|<!--|%|\"\"\"|'''|\bREM\b|\{-|\(\*)")
_SPDX: Final = re.compile(r"SPDX-License-Identifier:\s*([A-Za-z0-9.+() -]{2,100}?)\s*(?:\*/|-->|$)")
_COPYRIGHT: Final = re.compile(r"(?:copyright|©|\(c\))[^\n]{0,200}\d{4}[^\n]{0,200}", re.IGNORECASE)
_LICENCE_NAME: Final = re.compile(r"(licen[cs]e|copying|unlicense)([.-].*)?$", re.IGNORECASE)

_PHRASES: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("Apache-2.0", ("apache license", "version 2.0")),
    ("AGPL-3.0", ("gnu affero general public license", "version 3")),
    ("LGPL-3.0", ("gnu lesser general public license", "version 3")),
    ("LGPL-2.1", ("gnu lesser general public license", "version 2.1")),
    ("GPL-3.0", ("gnu general public license", "version 3")),
    ("GPL-2.0", ("gnu general public license", "version 2")),
    ("MPL-2.0", ("mozilla public license", "2.0")),
    ("EPL-2.0", ("eclipse public license", "2.0")),
    ("BSL-1.0", ("boost software license",)),
    ("CC0-1.0", ("cc0 1.0",)),
    ("Unlicense", ("this is free and unencumbered software",)),
    ("Zlib", ("provided 'as-is'", "origin of this software must not be misrepresented")),
    ("ISC", ("permission to use, copy, modify, and", "distribute this software for any purpose")),
    ("MIT", ("permission is hereby granted, free of charge", "without restriction")),
    ("BSD-3-Clause", ("redistribution and use in source and binary forms", "neither the name")),
    ("BSD-2-Clause", ("redistribution and use in source and binary forms",)),
)
"""Phrases that tell a licence, the more special ones first. SPDX names: https://spdx.org/licenses/."""


_SOURCES: Final = frozenset({
    ".c", ".cc", ".cpp", ".cs", ".cxx", ".d", ".dart", ".erl", ".ex", ".exs", ".f90", ".fs", ".go", ".h",
    ".hpp", ".hs", ".java", ".jl", ".js", ".jsx", ".kt", ".lua", ".m", ".ml", ".mm", ".php", ".pl", ".pm",
    ".ps1", ".py", ".pyi", ".pyx", ".r", ".rb", ".rs", ".scala", ".sh", ".sql", ".swift", ".tcl", ".ts",
    ".tsx", ".vb", ".vue", ".zig"
})  # fmt: skip


class Note(TypedDict):
    """One note. `who` is the name in parentheses after the word."""

    file: str
    line: int
    word: str
    who: str
    text: str


class Census(TypedDict):
    """What `code.census` returns."""

    file: str
    kind: str
    lines: int
    notes: list[Note]
    spdx: str | None
    copyright: list[str]
    licence: str | None
    licence_file: bool
    source: bool


@operator("code.census", version="1.0.0", pure=True, output="census")
def census(
    path: Path,
    context: Context,
    name: str = "",
    words: list[str] = ["TODO", "FIXME", "HACK", "XXX"],  # tidy: the rule itself  # noqa: B006
) -> Annotated[Census, PortType("map", ANY)]:
    """Find notes to self in the comments of a file, and what the file says about its licence.

    A note counts if its word follows a comment mark, or is followed by a colon or a name in parentheses.
    Binary files and files over 2 MiB are only named. Bytes that are not UTF-8 become U+FFFD.

    path: the file
    name: what to call it in the result; empty for its path as given
    words: the words that begin a note; case matters

    Returns:
        census: a map of file; kind (text, binary, large or unreadable); lines; notes, which are maps of
            file, line, word, who and text; spdx, the value of its SPDX-License-Identifier; copyright,
            copyright lines near its beginning; licence_file, whether its name is LICENSE or similar; licence,
            the SPDX name of the licence in such a file; and source, whether it is a text file with the
            extension of a programming language
    """
    wrong = next((word for word in words if not _WORD.fullmatch(word)), None)
    if wrong is not None:
        raise InputRefused(f"input words: {beginning(wrong, 40)!r} is no word", hint="use 2 to 30 letters")
    name = name or path.as_posix()
    licence_file = _LICENCE_NAME.match(Path(name).name) is not None
    empty = Census(
        file=name, kind="text", lines=0, notes=[], spdx=None, copyright=[], licence=None,
        licence_file=licence_file, source=False,
    )  # fmt: skip
    try:
        body = read_bounded(context.cwd / path, FILE_BYTES_MAX)
    except FileTooLarge:
        return {**empty, "kind": "large"}
    except SymphonyError:
        return {**empty, "kind": "unreadable"}
    if b"\0" in body[:_SNIFF]:
        return {**empty, "kind": "binary"}
    text = body.decode("utf-8", "replace")
    lines = lines_of(text)
    head = "\n".join(lines[:_HEAD_LINES])
    spdx = re.search(_SPDX.pattern, head, re.MULTILINE)
    return {
        **empty,
        "lines": len(lines),
        "source": Path(name).suffix.lower() in _SOURCES,
        "notes": _notes(name, lines, words) if words else [],
        "spdx": spdx[1] if spdx else None,
        "copyright": list(
            dict.fromkeys(" ".join(m[0].split())[:_NOTE_CHARS] for m in _COPYRIGHT.finditer(head))
        )[:5],
        "licence": _licence(text) if licence_file else None,
    }


def _notes(name: str, lines: list[str], words: list[str]) -> list[Note]:
    pattern = re.compile(rf"(?<![\w-])({'|'.join(words)})(?![\w-])(\(([^()]*)\))?(:?)[ \t]*(.*)")
    found: list[Note] = []
    for number, line in enumerate(lines, start=1):
        match = pattern.search(line)
        if match is None:
            continue
        if match[2] or match[4] or _MARKS.search(line, 0, match.start()):
            text = re.sub(r"\s*(\*/|-->|\*\))\s*$", "", match[5]).strip()
            found.append(
                Note(
                    file=name,
                    line=number,
                    word=match[1],
                    who=(match[3] or "").strip(),
                    text=text[:_NOTE_CHARS],
                )
            )
    return found


def _licence(text: str) -> str | None:
    plain = " ".join(text.lower().split())[:20_000]
    return next((name for name, phrases in _PHRASES if all(phrase in plain for phrase in phrases)), None)
