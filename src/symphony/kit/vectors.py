"""Vectors: `vector.*`. Cosine similarity over blocks, so that memory stays small."""

from typing import TYPE_CHECKING, TypedDict

from symphony.kit.errors import InputRefused, Stopped
from symphony.ports.values import Value
from symphony.sdk import Context, Embedding, operator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]
    Scores = NDArray[np.float64]
    Indices = NDArray[np.intp]

LIMIT_MAX = 1_000_000
BLOCK = 2048
"""Rows and columns of one matrix product: 16 MiB of scores."""

DIGITS = 6
"""The digits that scores are rounded to, so that equal ones tie on every machine."""

THRESHOLD = 0.93
"""Default of `vector.near_duplicates`, for `minilm` over `code.shapes`: docs/explanation/embeddings.md."""


class Alike(TypedDict):
    """Vectors of which each is near another: two, or more that are connected."""

    positions: list[int]
    items: list[Value]
    score: float


class NearDuplicates(TypedDict):
    """What `vector.near_duplicates` returns."""

    items: list[dict[str, Value]]
    groups: list[list[int]]
    total: int
    alike: list[Alike]
    alike_total: int


class Nearest(TypedDict):
    """What `vector.search` returns."""

    items: list[dict[str, Value]]
    each: list[list[dict[str, Value]]]


@operator("vector.near_duplicates", version="1.0.0", pure=True)
def near_duplicates(
    vectors: list[Embedding],
    context: Context,
    items: list[Value] | None = None,
    threshold: float = THRESHOLD,
    limit: int = 20,
) -> NearDuplicates:
    """Find the pairs of vectors that point in nearly the same direction, the closest first.

    All pairs are compared. Ties are broken by position, so that the answer is always the same.

    Args:
        vectors: the vectors, all of one length
        items: what each vector stands for, to appear beside it in the pairs
        threshold: the least cosine similarity of a pair, in [-1, 1]
        limit: how many pairs at most, and how many groups in `alike`
    Returns:
        items: maps of a and b (positions, a < b), score, first and second (the items, if given)
        groups: the positions that the listed pairs connect, as sorted lists, the largest first
        total: how many pairs reach the threshold, listed or not
        alike: what all these pairs, listed or not, connect: maps of positions, items (if given) and
            score (of the closest pair), the closest first
        alike_total: how many such groups there are
    """
    import numpy as np

    _check_items(items, len(vectors))
    if not -1 <= threshold <= 1:
        raise InputRefused("input threshold must lie between -1 and 1", hint="try 0.9")
    matrix = _unit(vectors, "vectors")
    best = _Best(_checked_limit("limit", limit), threshold)
    connected = _Connected(len(matrix))
    for start in range(0, len(matrix), BLOCK):
        rows = matrix[start : start + BLOCK]
        for other in range(start, len(matrix), BLOCK):
            if context.cancelled():
                raise Stopped("vector.near_duplicates was cancelled")
            scores = rows @ matrix[other : other + BLOCK].T
            if other == start:
                scores[np.tril(np.ones(scores.shape, bool))] = -2.0
            reached, a, b = _reached(scores, best.threshold)
            if len(reached):
                best.take(reached, a + start, b + other)
                connected.take(reached, a + start, b + other)
    pairs = [
        _pair(a, b, score, items)
        for score, a, b in zip(best.scores.tolist(), best.rows.tolist(), best.columns.tolist(), strict=True)
    ]
    groups = _groups(list(zip(best.rows.tolist(), best.columns.tolist(), strict=True)))
    alike = connected.groups(items)
    return NearDuplicates(
        items=pairs, groups=groups, total=best.total, alike=alike[:limit], alike_total=len(alike)
    )  # fmt: skip


@operator("vector.search", version="1.0.0", pure=True)
def search(
    vectors: list[Embedding],
    context: Context,
    query: Embedding | None = None,
    queries: list[Embedding] | None = None,
    items: list[Value] | None = None,
    k: int = 10,
    threshold: float = -1.0,
) -> Nearest:
    """Find the vectors that point most nearly in the direction of a query.

    Args:
        vectors: where to look, all of one length
        query: what to look for; give this or `queries`
        queries: several things to look for
        items: what each vector stands for, to appear beside it
        k: how many for each query, at most
        threshold: the least cosine similarity, in [-1, 1]
    Returns:
        items: maps of index, score and item (if given), the closest first; with `queries`, those
            of the first
        each: one such list for each query
    """
    if (query is None) == (queries is None):
        raise InputRefused("vector.search takes either query or queries", hint="give one of the two inputs")
    _check_items(items, len(vectors))
    k = _checked_limit("k", k)
    wanted = _unit([query] if query is not None else queries or [], "queries")
    matrix = _unit(vectors, "vectors")
    if len(wanted) and len(matrix) and wanted.shape[1] != matrix.shape[1]:
        raise InputRefused(
            f"the queries have {wanted.shape[1]} numbers, the vectors {matrix.shape[1]}",
            hint="embed both with the same model",
        )
    each: list[list[dict[str, Value]]] = []
    for start in range(0, len(wanted), BLOCK // 8):
        if context.cancelled():
            raise Stopped("vector.search was cancelled")
        block = wanted[start : start + BLOCK // 8]
        if len(matrix):
            each += [_nearest(scores, items, k, threshold) for scores in block @ matrix.T]
        else:
            each += [[] for _ in block]
    return Nearest(items=each[0] if each else [], each=each)


def _reached(scores: "Matrix", threshold: float) -> "tuple[Scores, Indices, Indices]":
    """Return the rounded scores in a block that reach `threshold`, and their rows and columns, in this
    order.
    """
    import numpy as np

    near = scores >= threshold - 10.0**-DIGITS
    rows, columns = np.nonzero(near) if near.any() else (np.empty(0, np.intp), np.empty(0, np.intp))
    found: Scores = np.asarray(scores[rows, columns], np.float64).round(DIGITS)
    enough = found >= threshold
    return found[enough], rows[enough], columns[enough]


class _Connected:
    """The positions that pairs reaching the threshold connect, block by block.

    Labels sink to the least of what a position is connected with until none sinks any more.
    """

    def __init__(self, count: int) -> None:
        import numpy as np

        self._labels: Indices = np.arange(count)
        self._scores: Scores = np.full(count, -2.0)
        """The highest score of each position so far."""

    def take(self, reached: "Scores", a: "Indices", b: "Indices") -> None:
        """Take in pairs of positions that reach the threshold."""
        import numpy as np

        np.maximum.at(self._scores, a, reached)
        np.maximum.at(self._scores, b, reached)
        labels = self._labels
        while True:
            least = np.minimum(labels[a], labels[b])
            before = labels.copy()
            np.minimum.at(labels, before[a], least)  # a whole group sinks with its label
            np.minimum.at(labels, before[b], least)
            while not np.array_equal(labels, labels[labels]):
                labels[:] = labels[labels]
            if np.array_equal(labels, before):
                return

    def groups(self, items: list[Value] | None) -> list[Alike]:
        """Positions with others of their label, the closest groups first."""
        import numpy as np

        paired = np.flatnonzero(self._scores > -2.0)
        members: dict[int, list[int]] = {}
        for position, label in zip(paired.tolist(), self._labels[paired].tolist(), strict=True):
            members.setdefault(label, []).append(position)
        found = [
            Alike(
                positions=group,
                items=[] if items is None else [items[at] for at in group],
                score=float(np.max(self._scores[group])),
            )
            for group in members.values()
        ]
        return sorted(found, key=lambda one: (-one["score"], -len(one["positions"]), one["positions"]))


class _Best:
    """The best pairs so far, sorted by score, row and column; never more than `limit`."""

    def __init__(self, limit: int, threshold: float) -> None:
        import numpy as np

        self.limit, self.threshold = limit, round(threshold, DIGITS)
        self.total = 0
        self.scores: Scores = np.empty(0, np.float64)
        self.rows: Indices = np.empty(0, np.intp)
        self.columns: Indices = np.empty(0, np.intp)

    def take(self, found: "Scores", rows: "Indices", columns: "Indices") -> None:
        """Merge pairs that reach the threshold, in order of row and column."""
        import numpy as np

        self.total += len(found)
        if self.limit == 0:
            return
        if len(self.scores) == self.limit:
            keep = np.flatnonzero(found >= self.scores[-1])
            found, rows, columns = found[keep], rows[keep], columns[keep]
        if len(found) > self.limit:
            chosen = _largest(found, self.limit)
            found, rows, columns = found[chosen], rows[chosen], columns[chosen]
        found = np.concatenate((self.scores, found))
        rows, columns = np.concatenate((self.rows, rows)), np.concatenate((self.columns, columns))
        order = np.lexsort((columns, rows, -found))[: self.limit]
        self.scores, self.rows, self.columns = found[order], rows[order], columns[order]


def _largest(scores: "Scores", count: int) -> "Indices":
    """Positions of the `count` largest, in order of position; among equals the first ones."""
    import numpy as np

    least = np.partition(scores, len(scores) - count)[len(scores) - count]
    above = np.flatnonzero(scores > least)
    equal = np.flatnonzero(scores == least)[: count - len(above)]
    return np.sort(np.concatenate((above, equal)))


def _nearest(row: "Matrix", items: list[Value] | None, k: int, threshold: float) -> list[dict[str, Value]]:
    import numpy as np

    scores: Scores = np.asarray(row, np.float64).round(DIGITS)
    chosen = np.flatnonzero(scores >= round(threshold, DIGITS))
    if len(chosen) > k:
        chosen = chosen[_largest(scores[chosen], k)] if k else chosen[:0]
    chosen = chosen[np.lexsort((chosen, -scores[chosen]))]
    found: list[dict[str, Value]] = []
    for index, score in zip(chosen.tolist(), scores[chosen].tolist(), strict=True):
        found.append({"index": index, "score": score} | ({} if items is None else {"item": items[index]}))
    return found


def _pair(a: int, b: int, score: float, items: list[Value] | None) -> dict[str, Value]:
    pair: dict[str, Value] = {"a": a, "b": b, "score": score}
    if items is not None:
        pair |= {"first": items[a], "second": items[b]}
    return pair


def _groups(pairs: list[tuple[int, int]]) -> list[list[int]]:
    """Connected positions. Source: union by least member, with path halving."""
    parent: dict[int, int] = {}

    def root(one: int) -> int:
        parent.setdefault(one, one)
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for a, b in pairs:
        first, second = sorted((root(a), root(b)))
        parent[second] = first
    groups: dict[int, list[int]] = {}
    for one in sorted(parent):
        groups.setdefault(root(one), []).append(one)
    return sorted(groups.values(), key=lambda group: (-len(group), group))


def _unit(vectors: list[list[float]], name: str) -> "Matrix":
    """Return the vectors at length 1, as rows; zero vectors stay zero. Raises InputRefused."""
    import numpy as np

    if not vectors:
        return np.empty((0, 0), np.float32)
    width = len(vectors[0])
    wrong = next((i for i, vector in enumerate(vectors) if len(vector) != width), None)
    if wrong is not None:
        raise InputRefused(
            f"input {name}: vector {wrong} has {len(vectors[wrong])} numbers, the first has {width}",
            hint="embed all of them with one model",
        )
    matrix = np.empty((len(vectors), width), np.float32)
    for start in range(0, len(vectors), BLOCK):  # in pieces: a copy in doubles of all would be large
        rows = np.asarray(vectors[start : start + BLOCK], np.float64)
        if not np.isfinite(rows).all():
            bad = start + int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
            raise InputRefused(
                f"input {name}: vector {bad} holds a number that is not finite", hint="check the model"
            )
        largest = np.abs(rows).max(axis=1, keepdims=True) if width else np.ones((len(rows), 1))
        rows = rows / np.where(largest > 0, largest, 1.0)  # first this: squares might overflow
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        matrix[start : start + BLOCK] = rows / np.where(lengths > 0, lengths, 1.0)
    return matrix


def _check_items(items: list[Value] | None, count: int) -> None:
    if items is not None and len(items) != count:
        raise InputRefused(
            f"input items has {len(items)} elements for {count} vectors", hint="give one item for each vector"
        )


def _checked_limit(name: str, limit: int) -> int:
    if not 0 <= limit <= LIMIT_MAX:
        raise InputRefused(f"input {name} must lie between 0 and {LIMIT_MAX:,}", hint="change it")
    return limit
