"""What a request asks for besides its query, as one query. Pure."""

from symphony.pit.artifacts.search.core.syntax import Between, Either, Query, TextMatch, every
from symphony.ports.search import SearchRequest


def asked(request: SearchRequest, query: Query) -> Query:
    """Return the query for all that `request` says; `query` is its text, parsed."""
    parts = [query]
    if request.types:
        parts.append(_one_of([_type(kind) for kind in request.types]))
    parts += [TextMatch(tag, "phrase", "tag") for tag in request.tags]
    if request.runs:
        parts.append(_one_of([TextMatch(run, "phrase", "run") for run in request.runs]))
    if request.since_s is not None or request.until_s is not None:
        parts.append(Between("created", request.since_s, request.until_s, high_in=False))
    if request.size_min is not None or request.size_max is not None:
        low, high = request.size_min, request.size_max
        parts.append(
            Between("size", None if low is None else float(low), None if high is None else float(high))
        )
    if request.quality_min is not None:
        parts.append(Between("quality", request.quality_min))
    return every(*parts)


def _type(kind: str) -> TextMatch:
    return TextMatch(kind[:-1], "prefix", "type") if kind.endswith("*") else TextMatch(kind, "phrase", "type")


def _one_of(parts: list[TextMatch]) -> Query:
    return parts[0] if len(parts) == 1 else Either(tuple(parts))
