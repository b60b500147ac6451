"""Glob patterns over relative paths with `/`. Pure.

Braces are bash's: they are expanded first, as text, so that `{src,tests/unit}/*.py` is two patterns. What
is left is matched as bash (with `globstar`) and git match it, part by part between slashes.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Final

from symphony.commons.cutting import beginning
from symphony.commons.errors import SymphonyError

PATTERN_LENGTH_MAX: Final = 1000
EXPANSIONS_MAX: Final = 10_000
_QUICK_CHARS: Final = 20_000

_SEQUENCE: Final = re.compile(
    r"(-?\d+)\.\.(-?\d+)(?:\.\.(-?\d+))?|([a-z])\.\.([a-z])(?:\.\.(-?\d+))?", re.ASCII
)
_ESCAPED: Final = re.compile(r"\\.", re.DOTALL)
_CLASS: Final = re.compile(r"\[:([a-z]+):\]")
_CLASSES: Final = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "blank": " \\t", "digit": "0-9", "lower": "a-z", "upper": "A-Z",
    "punct": "!-.:-@\\[-`{-~", "space": "\\s", "xdigit": "0-9A-Fa-f", "word": "0-9A-Za-z_",
}  # fmt: skip


class PatternRefused(SymphonyError):
    """A pattern is malformed, leads out of the root, or stands for too many others."""

    code = "bad-input"


def matcher(patterns: Sequence[str], *, subtree: bool = False) -> re.Pattern[str] | None:
    """Return a regular expression for relative paths that match any of `patterns`; None if there are none.

    `*` and `?` stop at `/`; `**` as a whole part stands for any number of folders; `[a-z]` stands for
    one character, `[!a-z]` or `[^a-z]` for any other, and a `]` that comes first is one of them.
    `{a,b}` is either text, which may hold slashes, further braces, or nothing; `{1..9}` and `{a..f}`
    count. A backslash makes the next character stand for itself. Braces without a comma, and brackets
    and braces that nothing closes, stand for themselves. A trailing `/` or `subtree` lets a pattern
    stand for all below the folder it matches, too. Raises PatternRefused if one is malformed.
    """
    if not patterns:
        return None
    below = "(?:/.*)?" if subtree else ""
    try:
        return re.compile("|".join(f"(?:{_translate(p)}){below}" for p in patterns), re.DOTALL)
    except re.error as error:
        raise PatternRefused(
            f"pattern {', '.join(patterns)}: {error.msg}", hint="write for instance **/*.py"
        ) from error


def check(pattern: str) -> None:
    """Raise PatternRefused if `matcher` would. Of what expands to very much, only that is worked out."""
    found = _translate(pattern)
    if len(found) <= _QUICK_CHARS:
        matcher([pattern])


@functools.lru_cache(maxsize=256)
def _translate(pattern: str) -> str:
    if not pattern or len(pattern) > PATTERN_LENGTH_MAX:
        raise _refused(pattern)
    found: dict[tuple[str, ...], None] = {}
    for number, text in enumerate(_expanded(pattern)):
        if number >= EXPANSIONS_MAX:
            raise PatternRefused(
                f"pattern {beginning(pattern, 80)} expands to more than {EXPANSIONS_MAX:,} patterns",
                hint="use fewer braces, or *",
            )
        if text:
            found[tuple(_tokens(text))] = None
    if not found:
        raise _refused(pattern)
    return _either(list(found))


def _refused(pattern: str) -> PatternRefused:
    return PatternRefused(
        f"{beginning(pattern, 80)!r} is not a pattern for paths below the root",
        hint="write a relative pattern, for instance src/**/*.py",
    )


def _either(ways: Sequence[tuple[str, ...]]) -> str:
    """Return a regular expression for any of `ways`; what they begin with in common is matched once."""
    shared = 0
    while all(len(way) > shared and way[shared] == ways[0][shared] for way in ways):
        shared += 1
    begin = "".join(ways[0][:shared])
    if len(ways) == 1:
        return begin
    return f"{begin}(?:{'|'.join(''.join(way[shared:]) for way in ways)})"


# ---- braces -------------------------------------------------------------------------------


def _expanded(text: str) -> Iterator[str]:
    """Yield the texts that a text with braces stands for, in order; backslashes stay."""
    at = 0
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "{" and (choices := _choices(text, at)) is not None:
            found, end = choices
            for choice in found:
                for rest in _expanded(text[end + 1 :]):
                    yield text[:at] + choice + rest
            return
        at += 1
    yield text


def _choices(text: str, at: int) -> tuple[Iterator[str], int] | None:
    """Return what the brace at `at` may stand for, and where it closes; None if it stands for itself."""
    ends = _ends(text, at)
    if not ends:
        return None
    if len(ends) > 1:
        between = zip([at, *ends], ends, strict=False)
        return (one for begin, end in between for one in _expanded(text[begin + 1 : end])), ends[-1]
    counted = _sequence(text[at + 1 : ends[-1]])
    return (iter(counted), ends[-1]) if counted else None


def _ends(text: str, at: int) -> list[int]:
    """Return where each choice of the brace at `at` ends, the last where it closes; empty if it does not."""
    ends: list[int] = []
    depth = 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 1
        elif char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                return [*ends, at]
        elif char == "," and depth == 1:
            ends.append(at)
        at += 1
    return []


def _sequence(text: str) -> list[str]:
    """Return what `1..9` or `a..f`, with or without a step, counts up or down; nothing if it is not
    such a thing.
    """
    found = _SEQUENCE.fullmatch(text)
    if found is None:
        return []
    first, last, step, low, high, stride = found.groups()
    begin, end = (int(first), int(last)) if first else (ord(low), ord(high))
    by = abs(int(step or stride or 1)) or 1
    numbers = range(begin, end + 1, by) if begin <= end else range(begin, end - 1, -by)
    if len(numbers) > EXPANSIONS_MAX:
        raise PatternRefused(
            f"pattern {{{text}}} expands to more than {EXPANSIONS_MAX:,} texts", hint="use *"
        )
    if not first:
        return [chr(number) for number in numbers]
    padded = any(re.match(r"-?0\d", one) for one in (first, last))
    width = max(len(first), len(last)) if padded else 0
    return [f"{number:0{width}d}" for number in numbers]


# ---- what is left -------------------------------------------------------------------------


def _tokens(pattern: str) -> Iterator[str]:
    """Yield regular expressions that together match what a pattern without braces matches."""
    pattern = _ESCAPED.sub(lambda found: "/" if found[0] == "\\/" else found[0], pattern)
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise _refused(pattern)
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    first, *runs = _runs(parts)
    yield from _joined(first)
    for i, run in enumerate(runs):
        follows = i < len(runs) - 1
        if first and i == 0:
            yield "/"
        if not run:
            yield ".*"
        elif follows:  # the leftmost place is enough: a later one leaves less for what follows
            yield f"(?>(?:[^/]*/)*?{''.join(_joined(run))}/)"
        else:
            yield "(?:.*/)?"
            yield from _joined(run)
    if pattern.endswith("/"):
        yield "/.*"


def _runs(parts: Sequence[str]) -> list[list[str]]:
    """Return the parts before, between and behind each `**`; two of these in a row mean the same as one."""
    runs: list[list[str]] = [[]]
    for i, part in enumerate(parts):
        if part != "**":
            runs[-1].append(part)
        elif i == 0 or parts[i - 1] != "**":
            runs.append([])
    return runs


def _joined(parts: Sequence[str]) -> Iterator[str]:
    for i, part in enumerate(parts):
        if i:
            yield "/"
        yield from _part(part)


def _part(part: str) -> Iterator[str]:
    """One part between slashes.

    What stands between two stars is looked for once, from the left: it matches texts of one length, so
    that a later place would leave less for what follows. Trying them all might take for ever.
    """
    first, *others = _chunks(part)
    yield from first
    for chunk in others[:-1]:
        yield f"(?>[^/]*?{''.join(chunk)})"
    if others:
        yield "[^/]*"
        yield from others[-1]


def _chunks(part: str) -> list[list[str]]:
    """Return what stands before, between and behind the stars of a part, a regular expression for each
    character.
    """
    chunks: list[list[str]] = [[]]
    i = 0
    while i < len(part):
        char = part[i]
        i += 1
        if char == "*":
            while part[i : i + 1] == "*":
                i += 1
            chunks.append([])
        elif char == "?":
            chunks[-1].append("[^/]")
        elif char == "\\" and i < len(part):
            chunks[-1].append(re.escape(part[i]))
            i += 1
        elif char == "[" and (bracket := _bracket(part, i)) is not None:
            regex, i = bracket
            chunks[-1].append(regex)
        else:
            chunks[-1].append(re.escape(char))
    return chunks


def _bracket(part: str, at: int) -> tuple[str, int] | None:
    """Return the set that begins behind a `[`, as a regular expression, and where it ends; None if it
    does not.
    """
    negated = part[at : at + 1] in ("!", "^")
    start = at = at + negated
    inner = ""
    while at < len(part):
        char = part[at]
        if char == "]" and at > start:
            return (f"[^/{inner}]" if negated else f"(?!/)[{inner}]"), at + 1
        named = _CLASS.match(part, at)
        if named is not None and named[1] in _CLASSES:
            inner += _CLASSES[named[1]]
            at = named.end()
            continue
        if char == "\\" and at + 1 < len(part):
            at += 1
            inner += re.escape(part[at])
        elif char == "-" and at > start and part[at + 1 : at + 2] not in ("", "]"):
            inner += char  # between the ends of a range
        else:
            inner += re.escape(char)
        at += 1
    return None
