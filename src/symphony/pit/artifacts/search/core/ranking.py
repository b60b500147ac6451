"""Scores of several indexes made comparable, and the order of what was found. Pure."""

import math
from collections.abc import Sequence


def rarity(having: int, documents: int) -> float:
    """Return what a word counts that so many of the documents have.

    Source: S. Robertson, H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, as
    Lucene and Tantivy have it.
    """
    return math.log(1 + (documents - having + 0.5) / (having + 0.5))


def correction(of: int, counts: Sequence[tuple[int, int]]) -> float:
    """Return what to multiply the score of a word in one of several indexes by, so that all count alike.

    `counts`: for each index, in how many documents the word is, of how many. O(indexes).
    """
    having, documents = counts[of]
    if not having:
        return 1.0
    total = rarity(sum(count for count, _ in counts), sum(most for _, most in counts))
    return total / rarity(having, documents)


def place(rank: float | None, *, falling: bool) -> tuple[bool, float]:
    """Return the key by which something stands in its order; without a rank it comes last."""
    return rank is None, 0.0 if rank is None else -rank if falling else rank
