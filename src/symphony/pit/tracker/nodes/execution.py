"""Runs one attempt of a node: checks types, caches results, stores large values."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor as Pool
from functools import cached_property

import msgspec

from symphony.commons.raised import brief, error_text
from symphony.pit.tracker.core.records import ErrorTuple
from symphony.pit.tracker.nodes.attempt import Finished, NodeAttempt
from symphony.pit.tracker.nodes.calling import AttemptCalls
from symphony.pit.tracker.nodes.checking import check_inputs, check_outputs
from symphony.pit.tracker.nodes.contexts import Contexts
from symphony.pit.tracker.nodes.hits import Hits
from symphony.pit.tracker.nodes.keys import ResultKeys
from symphony.pit.tracker.nodes.reading import FilesRead
from symphony.pit.tracker.nodes.resources import RunResources
from symphony.pit.tracker.nodes.sizes import quickly_seen, surely_small
from symphony.pit.tracker.nodes.spending import Meter
from symphony.pit.tracker.nodes.storing import ValueStore
from symphony.pit.tracker.nodes.tokens import TokenStream
from symphony.ports.values import ArtifactRef, Value


class Executor(RunResources, frozen=True, kw_only=True, dict=True):
    """Runs attempts with the resources of a run. Its parts can also be used by themselves."""

    @cached_property
    def store(self) -> ValueStore:
        """Return the store of nodes' values, which keeps large ones as artifacts."""
        return ValueStore(self)

    @cached_property
    def contexts(self) -> Contexts:
        """Return the maker of operators' contexts."""
        return Contexts(self)

    @cached_property
    def result_keys(self) -> ResultKeys:
        """Return the maker of cache keys."""
        return ResultKeys(self, self.store, self.contexts)

    @cached_property
    def hits(self) -> Hits:
        """Return the cache of results as attempts use it."""
        return Hits(self, self.result_keys, self.store)

    @cached_property
    def calls(self) -> AttemptCalls:
        """Return the caller of operators and models."""
        return AttemptCalls(self, self.store, self.contexts)

    def meter(self, node: str, told: Callable[[str], None]) -> Meter:
        """Return a meter for one attempt that asks a model; `told` gets what it writes, secrets hidden."""

        def tell(text: str) -> None:
            self.log(node, text, "tokens")
            told(text)

        stream = TokenStream(self.sealer.stream(), tell)
        return Meter(self.spending, self.run_id, node, stream, priority=self.priority)

    def error_of(self, error: BaseException) -> ErrorTuple:
        """Return an error in the form in which it may be recorded, with secrets hidden."""
        plain = brief(error_text(error), self.sealer.mask_cut)
        return plain.code, plain.message, plain.hint

    async def look_up(
        self, attempt: NodeAttempt, pool: Pool
    ) -> tuple[str | None, FilesRead, Finished | None]:
        """Return the key of the attempt's result, the files that it is made of, and the result of an earlier
        run. There is no key if the result may not be kept. Raises `type-mismatch`.
        """
        in_thread, seen = asyncio.get_running_loop().run_in_executor, FilesRead()
        if all(map(quickly_seen, attempt.inputs.values())):
            may_keep = self._checked(attempt)
        else:
            may_keep = await in_thread(pool, self._checked, attempt)
        if not may_keep:
            return None, seen, None
        key = await in_thread(pool, self.result_keys.key, attempt, seen)
        if key is None or attempt.afresh:
            return key, seen, None
        return key, seen, await in_thread(pool, self.hits.find, key, attempt)

    async def execute(self, attempt: NodeAttempt, pool: Pool) -> Finished:
        """Run one attempt, or take the result of an earlier run. Raises whatever it raises."""
        in_thread, work, inputs = asyncio.get_running_loop().run_in_executor, attempt.work, attempt.inputs
        key, seen, hit = await self.look_up(attempt, pool)
        if hit is not None:
            return hit
        # Use a thread only for what may take long: the round trip costs as much as a commit.
        plain: Mapping[str, Value]
        if any(isinstance(value, ArtifactRef) for value in inputs.values()):
            plain = await in_thread(pool, self.store.loaded, work, inputs)
        else:
            plain = self.store.all_plain(inputs)
        returned = await self.calls.call(attempt, plain, pool)
        if key is not None and not self.hits.surely_still(attempt, seen):
            key = await in_thread(pool, self.hits.still, key, attempt, seen)
        made: Finished
        if work.node.artifact is None and all(map(surely_small, returned.values())):
            made = Finished(check_outputs(work, returned))
        else:
            # A result in the cache must not depend on a round's state.
            stored = attempt if key is None or attempt.base is None else attempt.whole()
            made = await in_thread(pool, self.store.store_outputs, stored, returned)
        if key is not None and (entry := self.hits.entry(attempt, made.outputs)) is not None:
            self.hits.keep([(key, entry)])
        return made if attempt.meter is None else msgspec.structs.replace(made, usage=attempt.meter.total)

    def _checked(self, attempt: NodeAttempt) -> bool:
        """True if the result may be kept for other runs. Raises `type-mismatch`."""
        check_inputs(attempt.work, attempt.inputs, self.store.checked)
        return self.hits.may_keep(attempt)
