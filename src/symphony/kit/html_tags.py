"""Finds the tags of an HTML page in one pass. As in browsers, what is left open runs to the end. Pure.

Python's own parser searches again and again for the end of whatever is open, so a page full of `<!--` takes
it quadratic time.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from typing import Final

_COMMENT_END: Final = re.compile(r"--!?>")
_NAME: Final = re.compile(r"[A-Za-z][^\s/>]*")
_ATTRIBUTE: Final = re.compile(r"[^\s/>][^\s/>=]*+")
_VALUE: Final = re.compile(r"\s*+=\s*+")
_BARE: Final = re.compile(r"[^\s>]*+")
_BETWEEN: Final = re.compile(r"[\s/]*+")
_TEXTS: Final = {
    name: re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE)
    for name in ("iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp")
}
"""Elements in which nothing is a tag but their own end."""


@dataclass(frozen=True, slots=True)
class StartTag:
    """The start of an element. Names are in lower case. Of duplicate attributes, the first counts."""

    name: str
    line: int
    attributes: Mapping[str, str]


def start_tags(text: str) -> Iterator[StartTag]:
    """Yield the start tags of a page in order, with lines from 1. Lines of `text` must end with `\n`."""
    at, counted, line = 0, 0, 1
    while (at := text.find("<", at)) >= 0:
        if text.startswith("<!--", at):
            closing = _COMMENT_END.search(text, at + 2)  # `<!-->` is a complete comment
            at = closing.end() if closing else len(text)
            continue
        if text.startswith(("</", "<!", "<?"), at):
            end = text.find(">", at)
            at = end + 1 if end >= 0 else len(text)
            continue
        name = _NAME.match(text, at + 1)
        if name is None:
            at += 1
            continue
        attributes: dict[str, str] = {}
        behind = _attributes(text, name.end(), attributes)
        if behind is None:
            return
        line, counted = line + text.count("\n", counted, at), at
        tag = StartTag(name[0].lower(), line, attributes)
        yield tag
        at = behind
        if tag.name in _TEXTS:
            ending = _TEXTS[tag.name].search(text, at)
            at = ending.start() if ending else len(text)


def _attributes(text: str, at: int, found: dict[str, str]) -> int | None:
    """Read attributes up to the end of the tag. Return that position, or None if the page ends before it."""
    while True:
        between = _BETWEEN.match(text, at)
        at = between.end() if between else at
        if at >= len(text):
            return None
        if text[at] == ">":
            return at + 1
        name = _ATTRIBUTE.match(text, at)
        assert name is not None  # neither a blank nor a slash nor the end
        at, value = name.end(), ""
        given = _VALUE.match(text, at)
        if given is not None:
            at = given.end()
            quote = text[at : at + 1]
            if quote in ('"', "'"):
                closing = text.find(quote, at + 1)
                if closing < 0:
                    return None
                value, at = text[at + 1 : closing], closing + 1
            else:
                bare = _BARE.match(text, at)
                value, at = (bare[0], bare.end()) if bare else ("", at)
        found.setdefault(name[0].lower(), _plain(value))


def _plain(value: str) -> str:
    try:
        return unescape(value)
    except ValueError:  # a character reference with thousands of digits
        return value
