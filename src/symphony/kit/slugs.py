"""The anchors that programs make of headings. Pure."""

import re
import unicodedata
from typing import Final

_CIRCLED: Final = re.compile("[\u24b6-\u24e9\U0001f130-\U0001f149\U0001f150-\U0001f169\U0001f170-\U0001f189]")
"""Symbols that count as letters (Unicode's Other_Alphabetic, without marks)."""
_KEPT: Final = frozenset({"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "Pc"})
_NAMES_ITSELF: Final = re.compile(r"\{[^{}]*#([\w:.-]+)[^{}]*\}")
_COUNTED: Final = re.compile(r"(.*)_([0-9]+)", re.DOTALL)


class Slugs:
    """Makes the anchors of one page; of headings that are alike, each gets its own."""

    def __init__(self) -> None:
        self._github: dict[str, int] = {}
        self._python: set[str] = set()
        self._python_counts: dict[str, int] = {}

    def of(self, text: str, source: str, pictured: str) -> list[str]:
        """The anchors of a heading: the one that it names itself, GitHub's, and Python-Markdown's.

        `text` is what a reader sees of it, `source` how it is written, and `pictured` what a reader sees
        with the names of images, which only Python-Markdown counts in.
        """
        explicit = _explicit(source)
        if explicit is not None:
            text, pictured = _without(text), _without(pictured)
        named = [] if explicit is None else [explicit]
        return [*named, self._of_github(text), self._of_python(pictured)]

    def _of_github(self, text: str) -> str:
        """Return the slug as github-slugger makes it."""
        slug = base = github_slug(text)
        while slug in self._github:
            self._github[base] += 1
            slug = f"{base}-{self._github[base]}"
        self._github[slug] = 0
        return slug

    def _of_python(self, text: str) -> str:
        """Return the slug as Python-Markdown's `toc` makes it."""
        ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
        slug = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", ascii_only).strip().lower())
        if not slug or slug in self._python:
            counted = _COUNTED.fullmatch(slug)
            base, first = (counted[1], int(counted[2][:9])) if counted else (slug, 0)
            number = max(first, self._python_counts.get(base, 0)) + 1
            while f"{base}_{number}" in self._python:
                number += 1
            self._python_counts[base] = number
            slug = f"{base}_{number}"
        self._python.add(slug)
        return slug


def github_slug(text: str) -> str:
    """Return GitHub's anchor of a heading: letters, marks, decimal digits, `_` and such; `-` for a blank.

    Superscripts, fractions, emoji and punctuation go; marks stay, such as the variation selector behind
    an emoji. Source: github-slugger 2.0, which follows GitHub's own `[^\\p{Word}\\- ]`.
    """
    kept = (c for c in text.lower() if c in "- " or unicodedata.category(c) in _KEPT or _CIRCLED.match(c))
    return "".join(kept).replace(" ", "-")


def _explicit(source: str) -> str | None:
    """The anchor that a heading names itself, as in `Text {#anchor}`."""
    end = source.rstrip()
    begin = end.rfind("{") if end.endswith("}") else -1
    found = _NAMES_ITSELF.fullmatch(end, begin) if begin >= 0 else None
    return None if found is None else found[1]


def _without(text: str) -> str:
    """`text` without the braces at its end."""
    return text[: text.rfind("{")].rstrip() if text.rstrip().endswith("}") else text
