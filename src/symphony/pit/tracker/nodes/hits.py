"""Looks up results of earlier runs before a node runs, and keeps its result afterwards."""

from collections.abc import Mapping, Sequence

from symphony.pit.artifacts.cache.results import CacheEntry
from symphony.pit.tracker.nodes.attempt import Finished, NodeAttempt
from symphony.pit.tracker.nodes.keys import ResultKeys
from symphony.pit.tracker.nodes.reading import FilesRead, lasting, same_code
from symphony.pit.tracker.nodes.resources import RunResources
from symphony.pit.tracker.nodes.storing import ValueStore
from symphony.pit.tracker.nodes.work import settings
from symphony.ports.values import ArtifactRef, StoredValue


class Hits:
    """The cache of results as attempts use it. Thread-safe; use it in a thread."""

    def __init__(self, resources: RunResources, keys: ResultKeys, store: ValueStore) -> None:
        self._resources, self._keys, self._store = resources, keys, store

    def may_keep(self, attempt: NodeAttempt) -> bool:
        """True if the attempt may share results with other runs. Not if its inputs hold a secret."""
        if self._resources.cache is None or not attempt.work.cacheable:
            return False
        if not self._resources.sealer:
            return True
        config = settings(attempt.work) if attempt.config is None else attempt.config
        return not any(map(self._resources.sealer.holds_secret, (*attempt.inputs.values(), *config.values())))

    def any_of(self, operator: str) -> bool:
        """True if there might be a result of the operator."""
        return self._resources.cache is not None and self._resources.cache.has_any(operator)

    def find(self, key: str, attempt: NodeAttempt) -> Finished | None:
        """Return the result under `key` as this run's, or None. Raises NotStored if there is no room."""
        assert self._resources.cache is not None
        hit = self.look([key]).get(key)
        return None if hit is None else self.take(hit, attempt)

    def look(self, keys: Sequence[str]) -> dict[str, CacheEntry]:
        """Return the results under `keys` whose artifacts all still exist."""
        assert self._resources.cache is not None
        found, holds = self._resources.cache.get_many(keys), self._resources.artifacts.holds
        gone = {
            key
            for key, hit in found.items()
            for value in hit.outputs.values()
            if isinstance(value, ArtifactRef) and not holds(value)
        }
        return {key: hit for key, hit in found.items() if key not in gone} if gone else found

    def take(self, hit: CacheEntry, attempt: NodeAttempt) -> Finished:
        """Return a result of an earlier run as the attempt's. Raises NotStored if there is no room."""
        outputs = self._store.take_over(attempt, hit.outputs)
        body = hit.body if outputs is hit.outputs and not self._resources.sealer else None
        return Finished(outputs, hit.run_id, None, body)

    def still(self, key: str, attempt: NodeAttempt, seen: FilesRead) -> str | None:
        """Return the key if nothing that it was made of has changed during the attempt; else None.

        `seen` has the files that it was made of.
        """
        if self.surely_still(attempt, seen):
            return key
        # The attempt may have read either version.
        return key if self._keys.key(attempt) == key and same_code(attempt.work) else None

    def surely_still(self, attempt: NodeAttempt, seen: FilesRead) -> bool:
        """True if a look at the times of files suffices to tell that `still` gives the key."""
        return lasting(attempt.work, seen) and same_code(attempt.work)

    def entry(
        self, attempt: NodeAttempt, outputs: Mapping[str, StoredValue], body: bytes | None = None
    ) -> CacheEntry | None:
        """Return the attempt's result in the form that other runs may use; None if it contains a secret.

        `body` is the recorded form of the outputs.
        """
        resources = self._resources
        if resources.sealer and any(map(resources.sealer.holds_secret, outputs.values())):
            return None
        return CacheEntry(
            operator=attempt.work.runs, outputs=outputs, run_id=resources.run_id, node=attempt.node,
            created_at=resources.clock.now_s(), body=None if resources.sealer else body,
        )  # fmt: skip

    def keep(self, entries: Sequence[tuple[str, CacheEntry]]) -> None:
        """Keep results under their keys for other runs."""
        if self._resources.cache is not None:
            self._resources.cache.put_many(entries)
