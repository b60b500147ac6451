"""The key that a node's result is kept under: it changes whenever the result may."""

from symphony.pit.artifacts.codec import value_digest
from symphony.pit.artifacts.keys import cache_key
from symphony.pit.tracker.nodes.attempt import NodeAttempt, never
from symphony.pit.tracker.nodes.contexts import Contexts
from symphony.pit.tracker.nodes.reading import Seen, contents_read, surroundings
from symphony.pit.tracker.nodes.resources import Resources
from symphony.pit.tracker.nodes.storing import ValueStore
from symphony.pit.tracker.nodes.work import settings


class ResultKeys:
    """Makes keys of attempts. Thread-safe; use it in a thread, for files are read."""

    def __init__(self, resources: Resources, store: ValueStore, contexts: Contexts) -> None:
        self._resources, self._store, self._contexts = resources, store, contexts

    def key(self, attempt: NodeAttempt, files: Seen | None = None) -> str | None:
        """What the attempt's result is cached under; None if it cannot be.

        `files` takes note of those that count.
        """
        resources, store, work, inputs = self._resources, self._store, attempt.work, attempt.inputs
        assert resources.cache is not None
        read = contents_read(
            work, inputs, resources.cwd, store.plain, resources.cache.content, files or Seen()
        )
        around = surroundings(work, resources.cwd, work.base or resources.base, resources.environment)
        if read is None or around is None:
            return None
        digests = {name: value_digest(value) for name, value in inputs.items()}
        digests |= {name: value_digest(place) for name, place in around.items()}
        digests |= {f"{name}:paths": value_digest([*found]) for name, found in read.items()}
        if work.operator is not None and work.operator.reads is not None:
            context = self._contexts.context(attempt, never)
            with self._contexts.around(work, attempt.node):
                looked_at = work.operator.reads(store.all_plain(inputs), context)
            if looked_at is None:
                return None
            digests[":reads"] = value_digest(looked_at)
        fingerprint = (
            resources.models.fingerprint(work.model)
            if work.model
            else work.operator.code
            if work.operator
            else ""
        )
        if fingerprint is None:
            return None
        told = settings(work) if attempt.config is None else store.all_plain(attempt.config)
        return cache_key(work.runs, work.version, fingerprint, told, digests)
