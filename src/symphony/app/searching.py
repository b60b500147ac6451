"""The search of the artifacts of a home, and what keeps its index up to date in the background."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from symphony.commons.errors import IoFailed, SymphonyError
from symphony.commons.settings import SearchConfig
from symphony.pit.artifacts.search.entries import Entries
from symphony.pit.artifacts.search.finding import ArtifactFinder
from symphony.pit.tracker.store.runs import Runs
from symphony.ports.artifacts import ArtifactRecord, ArtifactStore
from symphony.ports.clock import Clock
from symphony.ports.runs import ENDED, RunStatus
from symphony.ports.search import Hit, Quality, SearchRequest, SearchResults
from symphony.ports.values import Digest

_FOLDER: Final = "search"


class Searching:
    """Searches the artifacts of one home. Thread-safe."""

    def __init__(
        self,
        home: Path,
        store: ArtifactStore,
        config: SearchConfig,
        clock: Clock,
        runs: Callable[[], Runs],
        *,
        encrypted: bool = False,
    ) -> None:
        """`encrypted`: the artifacts are. Then the index has no words of theirs, unless settings say so."""
        self._home, self._clock, self._runs = home, clock, runs
        self.texts = not encrypted if config.text is None else config.text
        weights = msgspec.structs.asdict(config.quality)
        self._entries = Entries(store, weights=weights, texts=self.texts, outcomes=self._outcomes)
        self._succeeded = set[str]()
        self._store, self._root = store, home / "artifacts"
        folder = self._root / _FOLDER
        self._finder = ArtifactFinder(store, self._root, folder, self._entries, build=self._build)
        self._building: subprocess.Popen[bytes] | None = None

    def search(self, request: SearchRequest, *, complete: bool = False) -> SearchResults:
        """Return the best artifacts for `request`; what is stored is found at once.

        The index is brought up to date in the background. With `complete` this waits for it. Raises
        QueryInvalid, RunNotFound, StorageFull, IoFailed.
        """
        runs = [self._runs().find(run) for run in request.runs]
        if complete:
            self.index()
        return self._finder.search(msgspec.structs.replace(request, runs=runs), now_s=self._clock.now_s())

    def all_of(self, request: SearchRequest) -> Iterator[Hit]:
        """Yield all artifacts for `request`, the oldest first; see `ArtifactFinder.all_of`.

        The index is brought up to date first. Where it cannot be written, it will do if what was put since is
        found without it. Errors as `search`.
        """
        runs = [self._runs().find(run) for run in request.runs]
        try:
            self.index()
        except IoFailed:
            if self._finder.search(SearchRequest(limit=1), now_s=self._clock.now_s()).partial:
                raise
        yield from self._finder.all_of(msgspec.structs.replace(request, runs=runs), now_s=self._clock.now_s())

    def index(self, *, rebuild: bool = False, progress: Callable[[int], None] = lambda _: None) -> int:
        """Bring the index up to date, or build it again from nothing; return how many artifacts it has.

        Raises StorageFull, IoFailed.
        """
        builder = self._finder.builder(progress)
        return builder.rebuild() if rebuild else builder.catch_up(wait=True) or 0

    def catch_up(self) -> None:
        """Bring the index up to date unless another process is at it."""
        self._finder.builder().catch_up()

    def quality(self, record: ArtifactRecord) -> Quality:
        """Return how good an artifact is, and why. Raises ArtifactMissing."""
        return self._entries.quality(record)

    def qualities(self) -> Mapping[Digest, float]:
        """Return how good the artifacts are that the index has, those that are judged. Writes nothing.

        Raises StorageFull, IoFailed.
        """
        finder = ArtifactFinder(self._store, self._root, self._root / _FOLDER, self._entries)
        found = finder.all_of(SearchRequest(), now_s=self._clock.now_s())
        return {hit.record.digest: hit.quality.score for hit in found if hit.quality.score is not None}

    def _outcomes(self, run_ids: Sequence[str]) -> Mapping[str, bool]:
        """Return which runs have ended, and whether they succeeded."""
        found = dict[str, bool]()
        for run_id in run_ids:
            if run_id in self._succeeded:
                found[run_id] = True
                continue
            with suppress(SymphonyError):  # it was deleted, or its journal cannot be read
                status = self._runs().status(run_id)
                if status in ENDED:
                    found[run_id] = status is RunStatus.SUCCEEDED
                if status is RunStatus.SUCCEEDED:
                    self._succeeded.add(run_id)
        return found

    def _build(self) -> None:
        """Have a process of its own bring the index up to date; it outlives this one."""
        if self._building is not None and self._building.poll() is None:
            return
        with suppress(OSError):  # the next search tries again
            self._building = subprocess.Popen(
                [sys.executable, "-P", "-m", "symphony", "artifacts", "index", "--background"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env=os.environ | {"SYMPHONY_HOME": str(self._home)}, start_new_session=True, cwd=self._home,
            )  # fmt: skip
            threading.Thread(target=self._building.wait, name="symphony-indexing", daemon=True).start()
