"""Results of earlier runs: looked up before a node runs, kept after it has."""

from collections.abc import Mapping

from symphony.pit.tracker.nodes.attempt import Finished, NodeAttempt
from symphony.pit.tracker.nodes.caching import CacheHit
from symphony.pit.tracker.nodes.keys import ResultKeys
from symphony.pit.tracker.nodes.reading import Seen, lasting, same_code
from symphony.pit.tracker.nodes.resources import Resources
from symphony.pit.tracker.nodes.storing import ValueStore
from symphony.pit.tracker.nodes.work import settings
from symphony.ports.values import ArtifactRef, StoredValue


class Hits:
    """The cache of results as attempts use it. Thread-safe; use it in a thread."""

    def __init__(self, resources: Resources, keys: ResultKeys, store: ValueStore) -> None:
        self._resources, self._keys, self._store = resources, keys, store

    def may_keep(self, attempt: NodeAttempt) -> bool:
        """May the attempt's result be kept for other runs, and taken from them? No secret is."""
        if self._resources.cache is None or not attempt.work.cacheable:
            return False
        config = settings(attempt.work) if attempt.config is None else attempt.config
        return not any(map(self._resources.sealer.holds_secret, (*attempt.inputs.values(), *config.values())))

    def find(self, key: str, attempt: NodeAttempt) -> Finished | None:
        """The result under `key`, made this run's. Raises NotStored where there is no room for that."""
        assert self._resources.cache is not None
        hit = self._resources.cache.get(key)
        if hit is None or not self._whole(hit):
            return None
        return Finished(self._store.take_over(attempt, hit.outputs), hit.run_id)

    def _whole(self, hit: CacheHit) -> bool:
        holds = self._resources.artifacts.holds
        return all(holds(value) for value in hit.outputs.values() if isinstance(value, ArtifactRef))

    def still(self, key: str, attempt: NodeAttempt, seen: Seen) -> str | None:
        """The key, if all that it is made of is what it was before the attempt; else None.

        `seen` are the files that it was made of.
        """
        if self.surely_still(attempt, seen):
            return key
        # The attempt may have read this or that.
        return key if self._keys.key(attempt) == key and same_code(attempt.work) else None

    def surely_still(self, attempt: NodeAttempt, seen: Seen) -> bool:
        """Can a look tell that `still` gives the key?"""
        return lasting(attempt.work, seen) and same_code(attempt.work)

    def keep(self, key: str, attempt: NodeAttempt, outputs: Mapping[str, StoredValue]) -> None:
        """Keep what the attempt gave for other runs, unless there is a secret in it."""
        resources = self._resources
        if resources.cache is None or any(map(resources.sealer.holds_secret, outputs.values())):
            return
        resources.cache.put(
            key, operator=attempt.work.runs, outputs=outputs, run_id=resources.run_id, node=attempt.node,
            at=resources.clock.now_s(),
        )  # fmt: skip
