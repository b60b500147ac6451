"""Which run a word means that somebody typed: an id, a part of one, or a name. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from symphony.commons.errors import SymphonyError
from symphony.ports.runs import SHORT_ID, tail_of

SEVERAL_TOLD: Final = 5
"""So many of the runs that could be meant are named."""
_NEAR: Final = 0.6


class RunNotFound(SymphonyError):
    """No run has this id or name, or several ids begin with it."""

    code = "run-not-found"


def beginning_with(word: str, ids: Sequence[str]) -> list[str]:
    """The runs of which `word` begins the id or its end, in the order of `ids`.

    Who types as much as is shown of an id means the end of one.
    """
    found = [run_id for run_id in ids if tail_of(run_id).startswith(word)]
    if found and len(word) >= SHORT_ID:
        return found
    return [run_id for run_id in ids if run_id.startswith(word) or tail_of(run_id).startswith(word)]


def several(word: str, count: int, told: Sequence[str]) -> RunNotFound:
    """What to say where `word` begins so many runs; `told` describes the first of them."""
    more = f" and {count - len(told):,} more" if count > len(told) else ""
    return RunNotFound(
        f"{count:,} runs begin with {word!r}: {', '.join(told)}{more}",
        hint="give more characters, or the run's name",
    )


def not_found(word: str, names: Sequence[str] = ()) -> RunNotFound:
    """What to say where there is no such run, though there are runs of these `names`."""
    import difflib  # seldom needed

    near = difflib.get_close_matches(word, names, n=1, cutoff=_NEAR)
    hint = f"did you mean {near[0]}? " if near else ""
    return RunNotFound(f"there is no run {word!r}", hint=f"{hint}see symphony runs list")


class Tails:
    """The ends of all ids, those with the same beginning together."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._alike = defaultdict[str, list[str]](list)
        for tail in map(tail_of, ids):
            self._alike[tail[:SHORT_ID]].append(tail)

    def shortest(self, run_id: str) -> str:
        """As much of the end of an id as tells it from all others."""
        return shortest(run_id, self._alike[tail_of(run_id)[:SHORT_ID]])


def shortest(run_id: str, tails: Iterable[str]) -> str:
    """As much of the end of the id as tells it from these others, which may hold its own."""
    tail = tail_of(run_id)
    if tail == run_id:
        return run_id
    others = [other for other in tails if other != tail]
    for length in range(SHORT_ID, len(tail) + 1):
        if not any(other.startswith(tail[:length]) for other in others):
            return tail[:length]
    return run_id
