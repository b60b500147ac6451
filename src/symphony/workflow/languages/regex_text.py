"""Regular expressions as `text.regex` takes them: those of the package regex."""

import re
from typing import Final

from symphony.workflow.languages.faults import LiteralFault

LENGTH_MAX: Final = 10_000
EXPANSION_MAX: Final = 50_000
"""A pattern with more parts, counted repetitions spelled out, is compiled where memory is bounded."""

_PART: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(\d{0,9})(,?)(\d{0,9})\}|.", re.DOTALL)
_PLACED: Final = re.compile(r"(.*) at position (\d+).*", re.DOTALL)
_CONTROL: Final = re.compile("[\x07\x08\x0b\x0c\x1b]")
_SPELLED: Final = {"\x07": r"\a", "\x08": r"\b", "\x0b": r"\v", "\x0c": r"\f", "\x1b": r"\e"}


def regex_faults(text: str) -> tuple[LiteralFault, ...]:
    """Return what is wrong with a pattern. One that would take much to compile is not looked at."""
    if len(text) > LENGTH_MAX:
        message = f"the pattern has {len(text):,} characters, at most {LENGTH_MAX:,} are allowed"
        return (LiteralFault(message=message, hint="shorten it", code="limit-exceeded"),)
    if parts_of(text) > EXPANSION_MAX:
        return ()
    import regex

    try:
        regex.compile(text)
    except regex.error as error:
        found = _PLACED.fullmatch(str(error))
        message, at = (str(error), None) if found is None else (found[1], int(found[2]))
        return (LiteralFault(message=message, hint=_hint(message), at=at),)
    except (RecursionError, MemoryError):  # the depth that is left depends on the caller
        return ()
    except (IndexError, OverflowError, ValueError) as error:
        return (LiteralFault(message=str(error) or "it cannot be compiled", hint="correct it"),)
    return _control_character(text)


def _control_character(text: str) -> tuple[LiteralFault, ...]:
    """Return what a backslash in double quotes may have become."""
    found = _CONTROL.search(text)
    if found is None:
        return ()
    spelled = _SPELLED[found[0]]
    message = f"the pattern holds the control character U+{ord(found[0]):04X}"
    hint = f"double quotes make it of {spelled}: write \\{spelled}, or use single quotes"
    return (LiteralFault(message=message, hint=hint, at=found.start(), sure=False),)


def _hint(message: str) -> str:
    if "missing )" in message or "unbalanced" in message:
        return r"close the group; a literal parenthesis is written \( or \)"
    if "nothing to repeat" in message or "multiple repeat" in message:
        return r"a literal * + or ? is written with a backslash: \*"
    if "unterminated character set" in message:
        return r"close the set with ]; a literal [ is written \["
    return "see the package regex on PyPI, and re in Python's documentation"


def parts_of(pattern: str) -> int:
    """Return how many parts a pattern has if each counted repetition is spelled out, up to a bound."""
    open_groups, total, last = list[int](), 0, 0
    for part in _PART.finditer(pattern):
        text = part[0]
        if text == "(":
            open_groups.append(total)
            total = last = 0
        elif text == ")" and open_groups:
            last, total = total + 1, open_groups.pop() + total + 1
        elif text[0] == "{" and (part[1] or part[3]):
            times = max(int(part[1] or 1), int(part[3] or 1), 1)
            total += last * (times - 1)
            last *= times
        else:
            last = 1
            total += 1
    return min(total + sum(open_groups), EXPANSION_MAX + 1)
