"""Which bodies a list shows, as a query of the index."""

from collections.abc import Sequence
from typing import Final

from symphony.pit.artifacts.metadata.care import NOT_TRASHED
from symphony.pit.artifacts.metadata.rows import IndexRows
from symphony.ports.artifacts import ArtifactFilter, ArtifactOrder
from symphony.ports.values import Digest

_ORDERS: Final[dict[ArtifactOrder, str]] = {
    "newest": "sequence DESC",
    "oldest": "sequence",
    "largest": "size DESC, sequence DESC",
    "smallest": "size, sequence DESC",
    "name": "(SELECT min(name) FROM named n WHERE n.digest = objects.digest) IS NULL, "
    "(SELECT min(name) FROM named n WHERE n.digest = objects.digest), sequence DESC",
}
_SOUND: Final = "sum = row_sum('objects', digest, size, content_type, created_at, sequence)"
_NAMED: Final = "digest IN (SELECT digest FROM named"
_LINKED: Final = "digest IN (SELECT digest FROM linked"


def select(rows: IndexRows, where: ArtifactFilter, limit: int) -> list[Digest]:
    """Return up to `limit` bodies that `where` lets through, in its order. Errors as `IndexRows`."""
    conditions, arguments = [NOT_TRASHED], list[str | float]()

    def condition(text: str, *given: str | float) -> None:
        conditions.append(text)
        arguments.extend(given)

    if where.names:
        globs = [_glob(name) for name in where.names]
        condition(f"{_NAMED} WHERE {_any('name GLOB ?', globs)})", *globs)
    for tag in where.tags:
        condition("digest IN (SELECT digest FROM tags WHERE tag = ?)", tag)
    if where.types:
        types = [
            pattern for kind in where.types for pattern in (_glob(kind.lower()), f"{_glob(kind.lower())};*")
        ]
        fits = _any("lower(content_type) GLOB ?", types)
        condition(f"({fits} OR {_NAMED} WHERE {fits}))", *types, *types)
    if where.runs:
        condition(f"{_LINKED} WHERE run_id IN ({', '.join('?' * len(where.runs))}))", *where.runs)
    if where.since_s is not None:
        condition("created_at >= ?", where.since_s)
    if where.until_s is not None:
        condition("created_at < ?", where.until_s)
    query = (
        f"SELECT digest, {_SOUND} FROM objects WHERE {' AND '.join(conditions)} "  # noqa: S608  # no values
        f"ORDER BY {_ORDERS[where.order]} LIMIT ?"
    )
    return [digest for digest, _ in rows.sound(tuple[Digest, int | None], query, *arguments, limit)]


def _any(condition: str, given: Sequence[str]) -> str:
    """Return that a condition holds for one of several values."""
    return f"({' OR '.join([condition] * len(given))})"


def _glob(pattern: str) -> str:
    """Return a pattern of shells as one of SQLite."""
    return pattern.replace("[!", "[^")
