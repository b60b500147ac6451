"""Makes the key that a node's result is kept under. The key changes whenever the result may."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from symphony.pit.artifacts.values.codec import value_digest
from symphony.pit.artifacts.values.keys import KeyBeginning, cache_key
from symphony.pit.tracker.nodes.attempt import NodeAttempt, never
from symphony.pit.tracker.nodes.contexts import Contexts
from symphony.pit.tracker.nodes.reading import FilesRead, contents_read, reads_files, surroundings
from symphony.pit.tracker.nodes.resources import RunResources
from symphony.pit.tracker.nodes.storing import ValueStore
from symphony.pit.tracker.nodes.work import CallWork, ModelWork, OperatorWork, settings
from symphony.ports.values import StoredValue


class SharedKeyParts(NamedTuple):
    """The common part of keys of one operator or model: its code and where it runs.

    `beginning` is set if the configuration is the same for all. `files` is true if inputs may be paths.
    `of_inputs` holds, by input names, makers of keys for attempts whose results depend only on their inputs.
    """

    code: str
    places: Mapping[str, str]
    files: bool
    beginning: KeyBeginning | None
    of_inputs: "dict[tuple[str, ...], KeyOfInputs]"


KeyOfInputs: TypeAlias = Callable[[Mapping[str, StoredValue]], str]
Known: TypeAlias = dict[tuple[str, Path | None], SharedKeyParts | None]
"""The parts that keys made at one moment have in common, by operator and folder of its file."""


class ResultKeys:
    """Makes keys of attempts. Thread-safe; use it in a thread, because it reads files."""

    def __init__(self, resources: RunResources, store: ValueStore, contexts: Contexts) -> None:
        self._resources, self._store, self._contexts = resources, store, contexts

    def key(
        self, attempt: NodeAttempt, files: FilesRead | None = None, known: Known | None = None
    ) -> str | None:
        """Return the cache key of the attempt's result; None if it cannot be cached.

        `files` records the files that count; `known` caches what other keys of this moment share.
        """
        resources, store, work, inputs = self._resources, self._store, attempt.work, attempt.inputs
        assert resources.cache is not None
        if (
            isinstance(work, ModelWork)
            and not work.cached_always
            and resources.models.sampled(work.model, inputs)
        ):
            return None
        shared = self._shared(work, known)
        if shared is None:
            return None
        digests = {name: value_digest(value) for name, value in inputs.items()}
        digests |= shared.places
        if shared.files:
            content, seen = resources.cache.content, files or FilesRead()
            read = contents_read(work, inputs, resources.cwd, store.plain, content, seen)
            if read is None:
                return None
            digests |= {f"{name}:paths": value_digest([*found]) for name, found in read.items()}
        if isinstance(work, OperatorWork) and work.operator.reads is not None:
            context = self._contexts.context(attempt, never)
            with self._contexts.around(work, attempt.node):
                looked_at = work.operator.reads(store.all_plain(inputs), context)
            if looked_at is None:
                return None
            digests[":reads"] = value_digest(looked_at)
        if shared.beginning is not None and not work.config:
            return shared.beginning.key(digests)
        told = settings(work) if attempt.config is None else store.all_plain(attempt.config)
        return cache_key(work.runs, work.version, shared.code, told, digests)

    def of_inputs(self, attempt: NodeAttempt, known: Known) -> KeyOfInputs | None:
        """Return what makes keys of inputs, for the attempt and others with the same work.

        None if the key depends on anything else: files, settings, or what the operator looks at.
        """
        work, inputs = attempt.work, attempt.inputs
        shared = self._shared(work, known)
        if shared is None or shared.beginning is None or shared.files or work.config:
            return None
        if isinstance(work, OperatorWork) and work.operator.reads is not None:
            return None
        names = tuple(sorted(inputs))
        found = shared.of_inputs.get(names)
        if found is None:
            found = shared.of_inputs[names] = _of_inputs(names, shared.beginning.of(names, shared.places))
        return found

    def _shared(self, work: CallWork, known: Known | None) -> SharedKeyParts | None:
        """Return what keys of the work have in common with others; None if the work cannot have a key."""
        at = (work.runs, work.base)
        if known is not None and at in known:
            return known[at]
        found = self._shared_parts(work)
        if known is not None:
            known[at] = found
        return found

    def _shared_parts(self, work: CallWork) -> SharedKeyParts | None:
        resources = self._resources
        around = surroundings(work, resources.cwd, work.base or resources.base, resources.environment)
        if around is None:
            return None
        code = resources.models.fingerprint(work.model) if isinstance(work, ModelWork) else work.operator.code
        if code is None:
            return None
        places = {name: value_digest(place) for name, place in around.items()}
        beginning = None if isinstance(work, ModelWork) else KeyBeginning(work.runs, work.version, code, {})
        return SharedKeyParts(code, places, reads_files(work), beginning, {})


def _of_inputs(names: Sequence[str], key: Callable[[Sequence[str]], str]) -> KeyOfInputs:
    if len(names) == 1:
        (name,) = names
        return lambda inputs: key((value_digest(inputs[name]),))
    return lambda inputs: key([value_digest(inputs[name]) for name in names])
