"""Finds the spellings of secrets in texts, in time that grows with the text alone. Pure.

A spelling that repeats itself, such as `aaaaaa`, stands at nearly every place of a text like it.
Of occurrences that overlap one another only as many are given as cover them all, found by the
period: the least distance at which a spelling can overlap itself. Source: D. Knuth, J. Morris,
V. Pratt, "Fast Pattern Matching in Strings", SIAM Journal on Computing 6, 1977.
"""

from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

Text = TypeVar("Text", str, bytes)


class Needle(Generic[Text]):
    """One spelling of one secret."""

    __slots__ = ("_borders", "form", "name", "text")

    def __init__(self, name: str, form: str, text: Text) -> None:
        self.name, self.form = name, form
        self.text: Text = text
        self._borders: list[int] | None = None

    def runs(self, text: Text) -> Iterator["Run[Text]"]:
        """Occurrences that together cover every occurrence, by start."""
        needle, length = self.text, len(self.text)
        start = text.find(needle)
        while start >= 0:
            yield Run(start, start + length, self)
            period = self._period()
            if period == length:
                start = text.find(needle, start + length)
                continue
            end, tail = start + length, needle[length - period :]
            while text.startswith(tail, end):  # it goes on with its period: one more occurrence
                end += period
            last, step = end - length, length // period * period
            for at in range(start + step, last, step):
                yield Run(at, at + length, self)
            if last > start:
                yield Run(last, end, self)
            start = text.find(needle, last + 1)

    def begun(self, text: Text) -> int:
        """Where the longest end of `text` begins that the needle begins with, but does not end with."""
        needle = self.text
        start = text.find(needle[:1], max(len(text) - len(needle) + 1, 0))
        if start < 0:
            return len(text)
        borders, matched = self._all_borders(), 0
        for at in range(start, len(text)):
            while matched and needle[matched] != text[at]:
                matched = borders[matched - 1]
            if needle[matched] == text[at]:
                matched += 1  # never all of it: what is looked at is shorter
        return len(text) - matched

    def ended(self, text: Text) -> int:
        """Return the length of the longest beginning of `text` that ends the needle, but is not all of it."""
        longest = min(len(self.text) - 1, len(text))
        return next((n for n in range(longest, 0, -1) if text[:n] == self.text[-n:]), 0)

    def _period(self) -> int:
        return len(self.text) - self._all_borders()[-1]

    def _all_borders(self) -> list[int]:
        """For each beginning of the needle, how much of its own beginning it ends with."""
        if self._borders is None:
            needle, borders, matched = self.text, [0], 0
            for at in range(1, len(needle)):
                while matched and needle[matched] != needle[at]:
                    matched = borders[matched - 1]
                if needle[matched] == needle[at]:
                    matched += 1
                borders.append(matched)
            self._borders = borders
        return self._borders


class Run(NamedTuple, Generic[Text]):
    """One occurrence of a needle."""

    start: int
    stop: int
    needle: Needle[Text]


def runs_in(text: Text, needles: Iterable[Needle[Text]]) -> list[Run[Text]]:
    """Occurrences that cover those of all needles, by start, the longest first; they may overlap."""
    runs = [run for needle in needles if needle.text in text for run in needle.runs(text)]
    runs.sort(key=lambda run: (run.start, -run.stop))
    return runs


def covered(runs: Iterable[Run[Text]]) -> list[tuple[int, int]]:
    """The stretches that runs, ordered by start, cover; those that touch or overlap are one."""
    stretches: list[tuple[int, int]] = []
    for start, stop, _ in runs:
        if stretches and start <= stretches[-1][1]:
            stretches[-1] = stretches[-1][0], max(stop, stretches[-1][1])
        else:
            stretches.append((start, stop))
    return stretches


def between(text: Text, stretches: Iterable[tuple[int, int]]) -> list[Text]:
    """Return the parts before, between and after the stretches."""
    pieces, at = [], 0
    for start, stop in stretches:
        pieces.append(text[at:start])
        at = stop
    pieces.append(text[at:])
    return pieces
