"""Text: `text.split`, `text.join`, `text.regex`. (`text.render` is in `rendering`.)"""

import math
import re
import time
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, TypedDict

from symphony.commons.lines import lines_of
from symphony.kit.errors import InputRefused, OutputTooLarge
from symphony.ports.values import Value
from symphony.sdk import Bounds, Regex, operator
from symphony.workflow.languages.regex_text import LENGTH_MAX

MATCHES_MAX = 100_000
JOINED_LENGTH_MAX = 256 * 1024 * 1024


class Matches(TypedDict):
    """What `text.regex` found."""

    found: bool
    matches: list[dict[str, Value]]
    text: str


class DiffLine(TypedDict):
    """A line of a difference; `kind` is same, removed or added."""

    kind: str
    text: str


class Difference(TypedDict):
    """What `text.diff` returns."""

    lines: list[DiffLine]
    removed: int
    added: int
    text: str


LINES_CHEAP_MAX = 2_000
_PAIRS_MAX = 2_000_000


def _long(inputs: Mapping[str, Value]) -> bool:
    """True if comparing the lines may take long. `difflib` looks at every pair of equal lines for each
    stretch that it finds, of which there are at most as many as lines: a thousand empty lines are a
    million pairs.
    """
    texts = [one for one in (inputs.get("first"), inputs.get("second")) if isinstance(one, str)]
    if sum(map(len, texts)) > 64 * LINES_CHEAP_MAX:
        return True
    counts = [Counter(lines_of(one)) for one in texts]
    lines = [found.total() for found in counts]
    if sum(lines) > LINES_CHEAP_MAX or len(counts) < 2:
        return sum(lines) > LINES_CHEAP_MAX
    pairs = sum(many * counts[1][line] for line, many in counts[0].items())
    return pairs * min(lines) > _PAIRS_MAX


@operator("text.diff", version="1.0.0", pure=True, bounds=Bounds(heavy=_long, seconds="seconds"))
def diff(
    first: str,
    second: str,
    first_name: str = "first",
    second_name: str = "second",
    context_lines: int = 3,
    seconds: float = 30.0,  # noqa: ARG001  (its bounds hold it)
) -> Difference:
    """Compare two texts line by line.

    first: the text before
    second: the text after
    first_name: what the unified form calls the first
    second_name: what it calls the second
    context_lines: how many lines that are the same it shows around each change
    seconds: fail if it takes longer

    Returns:
        lines: all lines of both, in order: maps of kind (same, removed or added) and text
        removed: how many lines only the first has
        added: how many lines only the second has
        text: the difference in unified form; empty if the texts are the same
    """
    import difflib

    before, after = lines_of(first), lines_of(second)
    found: list[DiffLine] = []
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for kind, low, high, start, end in matcher.get_opcodes():
        if kind == "equal":
            found += [DiffLine(kind="same", text=text) for text in before[low:high]]
            continue
        found += [DiffLine(kind="removed", text=text) for text in before[low:high]]
        found += [DiffLine(kind="added", text=text) for text in after[start:end]]
    unified = difflib.unified_diff(
        before, after, first_name, second_name, lineterm="", n=max(context_lines, 0)
    )  # fmt: skip
    text = "".join(f"{line}\n" for line in unified)
    counts = Counter(line["kind"] for line in found)
    return Difference(lines=found, removed=counts["removed"], added=counts["added"], text=text)


@operator("text.split", version="1.0.0", pure=True)
def split(
    text: str, separator: str | None = None, limit: int | None = None, keep_empty: bool = True
) -> list[str]:
    r"""Split a text at a separator, or into lines.

    text: what to split
    separator: the text to split at; null for lines, which end with \n, \r\n or \r, the last one
        perhaps with nothing
    limit: make at most so many cuts; the rest stays whole
    keep_empty: keep empty pieces
    """
    if separator == "":
        raise InputRefused("input separator is empty", hint="leave it out to split into lines")
    cuts = -1 if limit is None or limit < 0 else limit
    if separator is None:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        pieces = text.removesuffix("\n").split("\n", cuts) if text else []
    else:
        pieces = text.split(separator, cuts)
    return pieces if keep_empty else [piece for piece in pieces if piece]


@operator("text.join", version="1.0.0", pure=True)
async def join(parts: list[str], separator: str = "") -> str:
    """Join texts into one.

    parts: the texts, in order
    separator: what stands between two of them
    """
    length = sum(map(len, parts)) + len(separator) * max(len(parts) - 1, 0)
    if length > JOINED_LENGTH_MAX:
        raise OutputTooLarge(
            f"the text would have {length:,} characters, more than {JOINED_LENGTH_MAX:,}",
            hint="join less, or into several texts",
        )
    return separator.join(parts)


_STEPS_MAX = 1_000_000
_CHEAP_PATTERN_MAX = 1_000
_CHOICES_MAX = 20
_COSTLY = re.compile(
    r"""\)[*+{] | [*+?}]\{          # a group, or a repetition, that is repeated: exponentially many ways
    | \{[^0-9,]                    # fuzzy
    | \(\?(?! [ims]*: | [ims]+\) | P?<[A-Za-z_] )  # looks around, recursive, other flags
    | \\[1-9gLX]                   # compares with what was found, which may be long""",
    re.VERBOSE,
)
_FIXED = re.compile(r"\{[0-9]+\}")
_LAST = re.compile(r"(?:[*+]|\{[0-9,]*\})[?+]?(?:\)\??)*$")
_NUMBER = re.compile(r"[0-9]{1,9}")
_BRACES = re.compile(r"\{[0-9,]+\}")


def _heavy(inputs: Mapping[str, Value]) -> bool:
    """True if the search might take long, or the matches and replacements much memory. At worst it
    begins at each place of the text, tries every length of each repetition that something follows, and
    both sides of every choice. The lengths of some repetitions together are no longer than the text;
    the last one takes what it finds.
    """
    text, pattern, replace = (inputs.get(name) for name in ("text", "pattern", "replace"))
    if not isinstance(text, str) or not isinstance(pattern, str):
        return True
    if len(pattern) > _CHEAP_PATTERN_MAX or _COSTLY.search(pattern):
        return True
    size = len(text) + 1
    if isinstance(replace, str) and size * len(replace) > _STEPS_MAX:
        return True
    braces = "".join(_BRACES.findall(pattern))
    length = len(pattern) + sum(map(int, _NUMBER.findall(braces)))
    varying = _LAST.sub("", _FIXED.sub("", pattern))
    repetitions = sum(varying.count(mark) for mark in "*+{")
    choices = pattern.count("?") - pattern.count("(?") + (pattern.count("|") if "(" in pattern else 0)
    if size * length > _STEPS_MAX or choices > _CHOICES_MAX:
        return True
    ways: int = size ** (repetitions + 1) // math.factorial(repetitions + 1)
    return max(ways, size) * length << choices > _STEPS_MAX


@operator("text.regex", version="1.0.0", pure=True, bounds=Bounds(heavy=_heavy, seconds="seconds"))
def regex(
    text: str,
    pattern: Annotated[str, Regex()],
    replace: str | None = None,
    ignore_case: bool = False,
    multiline: bool = False,
    dot_all: bool = False,
    limit: int = 10_000,
    seconds: float = 10.0,
) -> Matches:
    r"""Find, and on request replace, what matches a regular expression.

    The language is that of Python's re with the additions of the package regex.

    text: where to look
    pattern: the expression
    replace: what to put in place of each match, with \1 or \g<name> for groups
    ignore_case: let upper case match lower case
    multiline: let ^ and $ match at every line
    dot_all: let . match line ends
    limit: stop after so many matches, at most 100,000
    seconds: fail if it takes longer
    found: whether anything matched
    matches: maps of text, start, end (in characters), groups (list, null where a group took no
        part) and named (map)

    Returns:
        text: the text with the replacements; as it was, without
    """
    import regex as engine

    if len(pattern) > LENGTH_MAX:
        raise InputRefused(f"input pattern is longer than {LENGTH_MAX} characters", hint="shorten it")
    if not 0 <= limit <= MATCHES_MAX:
        raise InputRefused(f"input limit must lie between 0 and {MATCHES_MAX}", hint="change it")
    flags = engine.IGNORECASE * ignore_case | engine.MULTILINE * multiline | engine.DOTALL * dot_all
    ends = time.monotonic() + seconds
    try:
        compiled = engine.compile(pattern, flags)
        matches: list[dict[str, Value]] = []
        # concurrent: other threads run meanwhile; timeout: nothing else could stop it
        for match in compiled.finditer(text, timeout=seconds, concurrent=True):
            if len(matches) == limit:
                break
            groups: list[Value] = list(match.groups())
            named: dict[str, Value] = dict(match.groupdict())
            matches.append(
                {
                    "text": match[0],
                    "start": match.start(),
                    "end": match.end(),
                    "groups": groups,
                    "named": named,
                }
            )
        if replace is not None and matches:
            left = max(ends - time.monotonic(), 0.001)
            text = compiled.sub(replace, text, count=limit, timeout=left, concurrent=True)
    except TimeoutError:
        hint = "simplify the pattern: nested repetitions such as (a+)+ explode"
        raise OutputTooLarge(
            f"the pattern took longer than {seconds:g} s", code="timeout", hint=hint
        ) from None
    except (engine.error, IndexError, RecursionError) as error:
        raise InputRefused(
            f"input pattern or replace: {str(error) or 'nested too deeply'}", hint="correct it"
        ) from error
    return Matches(found=bool(matches), matches=matches, text=text)
