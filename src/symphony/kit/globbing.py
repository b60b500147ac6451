"""Glob patterns over relative paths with `/`. Pure."""

import functools
import re
from collections.abc import Sequence

from symphony.kit.errors import InputRefused

PATTERN_LENGTH_MAX = 1000


def matcher(patterns: Sequence[str], *, subtree: bool = False) -> re.Pattern[str] | None:
    """A regular expression for relative paths that match any of `patterns`; None if there are none.

    `*` and `?` stop at `/`; `**` as a whole part stands for any number of folders; `[a-z]` and
    `[!a-z]` for one character; `{a,b}` for either text. A trailing `/` or `subtree` lets a
    pattern stand for all below the folder it matches, too. Raises InputRefused if one is malformed.
    """
    if not patterns:
        return None
    below = "(?:/.*)?" if subtree else ""
    try:
        return re.compile("|".join(f"(?:{_translate(p)}){below}" for p in patterns), re.DOTALL)
    except re.error as error:
        raise InputRefused(
            f"pattern {', '.join(patterns)}: {error}", hint="write for instance **/*.py"
        ) from error


@functools.lru_cache(maxsize=256)
def _translate(pattern: str) -> str:
    if (
        not pattern
        or len(pattern) > PATTERN_LENGTH_MAX
        or pattern.startswith("/")
        or ".." in pattern.split("/")
    ):
        raise InputRefused(
            f"{pattern[:80]!r} is no pattern for paths below the root",
            hint="write a relative pattern, for instance src/**/*.py",
        )
    pattern = pattern.removeprefix("./")
    folder = pattern.endswith("/")
    parts = [part for part in pattern.rstrip("/").split("/") if part != "."]
    pieces: list[str] = []
    for i, part in enumerate(parts):
        last = i == len(parts) - 1
        if part == "**":
            if i == 0 or parts[i - 1] != "**":  # two in a row would backtrack and mean the same
                pieces.append(".*" if last else "(?:.*/)?")
        else:
            pieces.append(_part(part) + ("" if last else "/"))
    return "".join(pieces) + ("/.*" if folder else "")


def _part(part: str) -> str:
    """One part between slashes."""
    out, depth, i = "", 0, 0
    while i < len(part):
        char = part[i]
        i += 1
        if char == "*":
            while part[i : i + 1] == "*":
                i += 1
            out += "[^/]*"
        elif char == "?":
            out += "[^/]"
        elif char == "[" and (end := part.find("]", i + 2 if part[i : i + 1] in "!^" else i + 1)) > 0:
            inner = part[i:end].replace("\\", "\\\\").replace("[", "\\[")
            out += f"[^/{inner[1:]}]" if inner[0] in "!^" else f"(?!/)[{inner}]"
            i = end + 1
        elif char == "{":
            depth, out = depth + 1, out + "(?:"
        elif char == "}" and depth:
            depth, out = depth - 1, out + ")"
        elif char == "," and depth:
            out += "|"
        else:
            out += re.escape(char)
    return out + ")" * depth
