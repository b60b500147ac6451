"""The words of `symphony artifacts search`."""

import sys
from typing import Final

from symphony.cli.console import output
from symphony.cli.console.tables import Heading, room, table
from symphony.commons.widths import columns, first_columns
from symphony.ports.search import Quality, SearchResults, Snippet

_DIGEST_SHOWN: Final = 16
_HEADS: Final = (
    Heading("SCORE", rank=2), "DIGEST", Heading("SIZE", rank=3), Heading("STORED", rank=6),
    Heading("QUALITY", rank=4), Heading("TYPE", rank=5, least=10), Heading("NAMES", rank=1, least=16),
)  # fmt: skip
_INDENT: Final = 2
WORDLESS: Final = (
    "the index has no words of contents: only names, types, tags and notes are searched. That is so while "
    "artifacts are encrypted; `text = true` under [search] in the settings changes it"
)


def results_text(results: SearchResults) -> str:
    """A line for each artifact, and below it the part of its text that was found."""
    rows = [
        (
            "" if hit.score is None else f"{hit.score:.2f}",
            hit.record.digest[:_DIGEST_SHOWN],
            output.size(hit.record.size),
            output.moment(hit.record.created_at),
            "-" if hit.quality.score is None else f"{hit.quality.score:.2f}",
            hit.record.content_type,
            output.several(hit.record.names),
        )
        for hit in results.hits
    ]
    head, *lines = table(rows, _HEADS, width=room()).removesuffix("\n").split("\n")
    colours = output.colourful(sys.stdout)
    shown = [head]
    for hit, line in zip(results.hits, lines, strict=True):
        shown.append(line)
        if hit.snippet is not None:
            shown.append(" " * _INDENT + snippet_text(hit.snippet, room(), colours=colours))
    return "\n".join(shown) + "\n"


def snippet_text(snippet: Snippet, width: int | None, *, colours: bool) -> str:
    """The part of a text on one line; what was found is bold, or between ** where there are no colours."""
    pieces, at, left = list[str](), 0, None if width is None else width - _INDENT
    for start, stop in [*snippet.marks, (len(snippet.text), len(snippet.text))]:
        for piece, marked in ((snippet.text[at:start], False), (snippet.text[start:stop], True)):
            told = output.shown(piece)
            if marked and piece and not colours:
                told = f"**{told}**"
            if left is not None:
                told = first_columns(told, left) if left > 0 else ""
                left -= columns(told)
            pieces.append(output.paint(told, "bold", "yellow", on=colours) if marked and told else told)
        at = stop
    return "".join(pieces).strip()


def count_text(results: SearchResults) -> str:
    """Return how many there are."""
    if not results.total:
        return f"no artifact matches ({output.count(results.indexed, 'artifact')} searched)"
    return f"{len(results.hits):,} of {output.count(results.total, 'artifact')} shown; --limit shows more"


def partial_text(results: SearchResults) -> str:
    """Return what to know of results that may not be all."""
    return (
        f"the index is still being built: {output.count(results.indexed, 'artifact')} searched, "
        "older ones may be missing; --wait waits for them"
    )


def quality_lines(quality: Quality) -> list[str]:
    """Return how good an artifact is, and why, a line for each part."""
    score = "unknown" if quality.score is None else f"{quality.score:.2f}"
    parts = [
        f"           {part.name} {'-' if part.value is None else f'{part.value:.2f}'} "
        f"(weight {part.weight:g}): {part.why}"
        for part in quality.parts
    ]
    return [f"quality  {score}", *parts]
