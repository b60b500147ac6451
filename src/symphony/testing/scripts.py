"""Answers given in turn: what fakes say when they are asked."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from symphony.commons.errors import SymphonyError

A = TypeVar("A")
Q = TypeVar("Q")


class ScriptExhausted(SymphonyError):
    """A fake was asked more often than its script has answers."""

    code = "script-exhausted"


@dataclass(frozen=True, slots=True)
class After(Generic[A]):
    """`answer`, given after `seconds` of the test's clock."""

    seconds: float
    answer: A


class Script(Generic[Q, A]):
    """The answers of `who`, in order. A single one is given to every question.

    An answer may be an exception, which is raised; a function of the question; or `After`.
    """

    def __init__(
        self, who: str, answers: Sequence[A | Exception | Callable[[Q], A] | After[A | Exception]]
    ) -> None:
        if not answers:
            raise ValueError(f"{who} needs at least one answer")
        self._who, self._answers, self._asked = who, answers, 0

    async def answer(self, question: Q) -> A:
        """Return the next answer. Raises what stands in the script, or ScriptExhausted."""
        self._asked += 1
        if len(self._answers) > 1 and self._asked > len(self._answers):
            raise ScriptExhausted(
                f"{self._who} has {len(self._answers)} answers and was asked once more",
                hint="give it another answer, or one function for all",
            )
        found = self._answers[0] if len(self._answers) == 1 else self._answers[self._asked - 1]
        if isinstance(found, After):
            await asyncio.sleep(found.seconds)
            found = found.answer
        if isinstance(found, Exception):
            raise found
        return found(question) if callable(found) else found
