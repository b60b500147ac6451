"""Finds the run that a typed word means: an id, a part of one, or a name. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from symphony.commons.errors import SymphonyError
from symphony.ports.runs import SHORT_ID, tail_of

SEVERAL_TOLD: Final = 5
"""The number of runs that are named when several could be meant."""
_NEAR: Final = 0.6


class RunNotFound(SymphonyError):
    """No run has this id or name, or several ids begin with it."""

    code = "run-not-found"


def beginning_with(word: str, ids: Sequence[str]) -> list[str]:
    """Return the runs whose displayed id begins with `word`, in the order of `ids`.

    If there are none, and the word is as long as a displayed id, those whose whole id begins with it: the
    beginning of an id is a time, which runs of one day share and nobody is shown.
    """
    found = [run_id for run_id in ids if tail_of(run_id).startswith(word)]
    if found or len(word) < SHORT_ID:
        return found
    return [run_id for run_id in ids if run_id.startswith(word)]


def several(word: str, count: int, told: Sequence[str]) -> RunNotFound:
    """Return the message for a word that matches several runs. `told` describes the first of them."""
    more = f" and {count - len(told):,} more" if count > len(told) else ""
    return RunNotFound(
        f"{count:,} runs begin with {word!r}: {', '.join(told)}{more}",
        hint="give more characters, or the run's name",
    )


def not_found(word: str, names: Sequence[str] = (), home: Path | None = None) -> RunNotFound:
    """Return the message for a run that does not exist in `home`, though runs with these `names` do."""
    import difflib  # seldom needed

    near = difflib.get_close_matches(word, names, n=1, cutoff=_NEAR)
    hint = f"did you mean {near[0]}? " if near else ""
    where = "" if home is None else f" (home: {home})"
    return RunNotFound(f"there is no run {word!r}", hint=f"{hint}see symphony runs list{where}")


class Tails:
    """The ends of all ids, those with the same beginning together."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._alike = defaultdict[str, list[str]](list)
        for tail in map(tail_of, ids):
            self._alike[tail[:SHORT_ID]].append(tail)

    def shortest(self, run_id: str) -> str:
        """Return the shortest end of the id that no other id shares."""
        return shortest(run_id, self._alike[tail_of(run_id)[:SHORT_ID]])


def shortest(run_id: str, tails: Iterable[str]) -> str:
    """Return the shortest end of the id that none of the `tails` shares; they may include its own."""
    tail = tail_of(run_id)
    if tail == run_id:
        return run_id
    others = [other for other in tails if other != tail]
    for length in range(SHORT_ID, len(tail) + 1):
        if not any(other.startswith(tail[:length]) for other in others):
            return tail[:length]
    return run_id
