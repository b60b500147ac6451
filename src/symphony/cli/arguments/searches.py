"""What `symphony artifacts search` asks for, as it is typed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from symphony.cli.arguments.choosing import moment_s
from symphony.cli.console.failures import BadUsage
from symphony.commons.quantities import size_bytes
from symphony.ports.search import SearchRequest, Sorting

if TYPE_CHECKING:
    from symphony.app.datasets import DatasetFormat

_OTHER_FORMATS: Final = frozenset(["arrow", "csv", "feather", "json", "toml", "tsv", "xlsx", "xml", "yaml"])


def request(
    text: str,
    *,
    types: Sequence[str],
    tags: Sequence[str],
    runs: Sequence[str],
    since: str | None,
    until: str | None,
    min_size: str | None,
    max_size: str | None,
    min_quality: float | None,
    sort: str | None,
    limit: int,
    now: Callable[[], float],
) -> SearchRequest:
    """Return the request. Raises BadUsage."""
    usual = "score" if text.strip() else "newest"
    return SearchRequest(
        text=text, types=types, tags=tags, runs=runs,
        since_s=None if since is None else moment_s(since, "--since", now),
        until_s=None if until is None else moment_s(until, "--until", now, end=True),
        size_min=_size(min_size, "--min-size"), size_max=_size(max_size, "--max-size"),
        quality_min=min_quality, sort=cast(Sorting, sort or usual), limit=limit,
    )  # fmt: skip


def dataset_format(given: str | None, target: Path | None) -> "DatasetFormat":
    """Return the format of a data set: as it is given, else by the extension of the file.

    Raises BadUsage for the extension of a format that data sets are not written in.
    """
    named = given or ("" if target is None else target.suffix.removeprefix(".").lower())
    if named in _OTHER_FORMATS:
        raise BadUsage(
            f"data sets are not written as {named}", hint="name the file .jsonl or .parquet, or add --format"
        )
    return "parquet" if named == "parquet" else "jsonl"


def _size(text: str | None, option: str) -> int | None:
    return None if text is None else size(text, option)


def size(text: str, option: str) -> int:
    """Return the bytes of a size. Raises BadUsage."""
    try:
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else size_bytes(text)
    except ValueError:
        raise BadUsage(f"{option} {text[:40]!r} is not a size", hint="such as 10KB, 1.5MiB or 4096") from None
