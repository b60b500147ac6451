"""The worker processes of one Symphony: for operators, and for heavy expressions. Started when first used."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from symphony.pit.workers import Workers

_EXPRESSIONS_MAX = 2


class Pools:
    """Two pools, so that no operator keeps an expression waiting.

    `listen_idle`: the loop listens to processes that wait for their next call. On a test's clock it
    must not: a process that may speak at any moment would be waited for in real time.
    """

    def __init__(self, *, listen_idle: bool = True) -> None:
        self._listen_idle = listen_idle
        self._operators: Workers | None = None
        self._expressions: Workers | None = None

    def operators(self) -> "Workers":
        """Processes for operators that compute for long or have a timeout."""
        if self._operators is None:
            from symphony.pit.workers import Workers

            self._operators = Workers(listen_idle=self._listen_idle)
        return self._operators

    def expressions(self) -> "Workers":
        """Processes for expressions that take long."""
        if self._expressions is None:
            from symphony.pit.workers import Workers, cores

            self._expressions = Workers(size=min(_EXPRESSIONS_MAX, cores()))
        return self._expressions

    async def close(self) -> None:
        """End every process; calls under way fail."""
        for workers in (self._operators, self._expressions):
            if workers is not None:
                await workers.close()
