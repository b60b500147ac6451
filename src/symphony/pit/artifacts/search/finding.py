"""Finds artifacts: what the index has, and over it what has been put since."""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from symphony.pit.artifacts.search.building import IndexBuilder, touched
from symphony.pit.artifacts.search.changes import ChangeLog, LogPlace, StoreChanges
from symphony.pit.artifacts.search.compiling import QueryCompiler
from symphony.pit.artifacts.search.core.parsing import parse
from symphony.pit.artifacts.search.core.ranking import correction, place
from symphony.pit.artifacts.search.core.requests import asked
from symphony.pit.artifacts.search.core.syntax import Between, Query, every
from symphony.pit.artifacts.search.entries import UNREAD, Entries
from symphony.pit.artifacts.search.files import IndexFiles, SearchIndexBroken
from symphony.pit.artifacts.search.indexed import Candidate, Indexed
from symphony.pit.artifacts.search.overlay import Overlay
from symphony.pit.artifacts.search.snippets import Snippets
from symphony.ports.artifacts import ArtifactCorrupt, ArtifactMissing, ArtifactRecord, ArtifactStore
from symphony.ports.search import Hit, SearchRequest, SearchResults, Snippet
from symphony.ports.values import Digest

if TYPE_CHECKING:
    from tantivy import Query as Compiled

logger = logging.getLogger(__name__)

COMMITTED_FROM: Final = 64
"""With so many, somebody is asked to commit them."""
_CHUNKS_MAX: Final = 5
_USED_MAX: Final = 100
"""If more was used, who commits counts it: until then the quality of what was used is older."""
_SPARE: Final = 20
_PAGE: Final = 1_000

T = TypeVar("T")


class ArtifactFinder:
    """Searches the artifacts of the store in `root`. Thread-safe.

    What is stored is found as soon as its put returns, in any process. `folder` has the index; `build` has it
    brought up to date in the background, otherwise only `builder` does. Errors: QueryInvalid, StorageFull,
    IoFailed.
    """

    def __init__(
        self,
        store: ArtifactStore,
        root: Path,
        folder: Path,
        entries: Entries,
        *,
        build: Callable[[], None] | None = None,
    ) -> None:
        self._store, self.entries, self._build = store, entries, build
        self._files, self._changes = IndexFiles(folder), ChangeLog(root)
        self._mutex = threading.Lock()
        self._state: tuple[int, int, int] | None = None
        self._seen: tuple[int, int, int] | None = None
        self._indexed: Indexed | None = None
        self._overlay = Overlay()
        self._place, self._partial = LogPlace(), False

    def builder(self, progress: Callable[[int], None] = lambda _: None) -> IndexBuilder:
        """Return what brings the index up to date."""
        return IndexBuilder(self._store, self.entries, self._changes, self._files, progress)

    def search(self, request: SearchRequest, *, now_s: float) -> SearchResults:
        """Return the best artifacts for `request`. Ages in it count back from `now_s`."""
        query = asked(request, parse(request.text, now_s=now_s))
        self._store.settle()
        with self._mutex:
            found = self._unbroken(lambda: self._found(query, request))
            wanted = self._partial or len(self._overlay.hidden) >= COMMITTED_FROM
        if wanted and self._build is not None:
            self._build()
        return found

    def all_of(self, request: SearchRequest, *, now_s: float, page: int = _PAGE) -> Iterator[Hit]:
        """Yield all artifacts for `request`, without snippets, in the order of their times and digests.

        Its sorting and limit do not count. In the memory of a few pages, however many there are. What is put
        after the first was found is left out. Errors as `search`.
        """
        query = asked(request, parse(request.text, now_s=now_s))
        newest = msgspec.structs.replace(request, sort="newest", limit=1)
        last = next((hit.record.created_at for hit in self.search(newest, now_s=now_s).hits), None)
        low: float | None = None
        limit = page
        while last is not None:
            part = every(query, Between("created", low, last))
            with self._mutex:
                found, end = self._unbroken(lambda part=part, limit=limit: self._page(part, limit))  # type: ignore[misc]
            yield from (hit for hit in found if self._store.size(hit.record.digest) is not None)
            if end is None:
                return
            limit = 2 * limit if end == low else page  # more than a page may be of the same moment
            low = end

    # -- under the mutex

    def _page(self, query: Query, limit: int) -> tuple[list[Hit], float | None]:
        """Return the oldest artifacts, up to the moment from which on there may be more; None: all."""
        candidates, ends = list[Candidate](), list[float]()
        indexes = self._indexes()
        for number, indexed in enumerate(indexes):
            best, _ = indexed.best(self._compiled(query, indexes, number), "oldest", limit)
            candidates += best
            if len(best) >= limit:
                ends.append(best[-1].stored.record.created_at)
        end = min(ends, default=None)
        found = [
            Hit(record=one.stored.record, tags=one.stored.tags, score=None, quality=one.stored.quality)
            for one in candidates
            if end is None or one.stored.record.created_at < end
        ]
        return sorted(found, key=lambda hit: (hit.record.created_at, hit.record.digest)), end

    def _indexes(self) -> list[Indexed]:
        return [one for one in (self._indexed, self._overlay.indexed) if one is not None]

    def _refresh(self) -> None:
        """See what was committed, and what has been put since."""
        state = self._files.state()
        if state != self._state:
            self._open(state)
        present = self._changes.present()
        if present != self._seen:
            self._overlay_changes()
            self._seen = present

    def _open(self, state: tuple[int, int, int] | None) -> None:
        self._forget()
        if state is not None:
            try:
                self._files.check()
                indexed = Indexed(self._files.index)
                mark = indexed.mark()
            except SearchIndexBroken as error:
                logger.warning("the index %s is unusable: %s", self._files.index, error)
                self._partial = True
            else:
                if mark is not None:
                    self._indexed, self._place = indexed, mark.place
                    self._partial = mark.scanning or mark.made_by != self.entries.made_by
        self._state = state

    def _forget(self) -> None:
        self._indexed, self._overlay, self._place, self._seen = None, Overlay(), LogPlace(), None
        self._partial = False

    def _overlay_changes(self) -> None:
        for _ in range(_CHUNKS_MAX):
            changes = self._changes.since(self._place)
            if changes is None:
                break
            if changes.place == self._place:
                return
            self._take(changes)
        self._partial = True  # there is more than can be looked at now: the newest will do
        self._take(self._changes.latest())

    def _take(self, changes: StoreChanges) -> None:
        indexes = self._indexes()
        used = self._store.sources_of(changes.inputs) if len(changes.inputs) <= _USED_MAX else ()
        self._overlay.take(touched(changes, indexes, self._has, used), self.entries)
        self._place = changes.place

    def _has(self, digest: Digest) -> bool:
        """Return whether an artifact is found as things are."""
        indexed = self._overlay.indexed if digest in self._overlay.hidden else self._indexed
        return indexed is not None and indexed.has(digest)

    def _unbroken(self, find: Callable[[], T]) -> T:
        """Return what `find` gives, by what was put last alone if the index is broken."""
        try:
            self._refresh()
            return find()
        except SearchIndexBroken as error:
            logger.warning("the index %s is unusable: %s", self._files.index, error)
        state = self._state
        self._forget()
        self._state, self._partial = state, True  # until another one is there
        self._overlay_changes()
        return find()

    def _found(self, query: Query, request: SearchRequest) -> SearchResults:
        indexes = self._indexes()
        candidates, total = list[tuple[Candidate, Indexed]](), 0
        for number, indexed in enumerate(indexes):
            compiled = self._compiled(query, indexes, number)
            best, count = indexed.best(compiled, request.sort, request.limit + _SPARE)
            candidates += [(one, indexed) for one in best]
            total += count
        falling = request.sort not in ("oldest", "smallest")
        candidates.sort(key=lambda one: place(one[0].rank, falling=falling))
        hits, gone = self._hits(query, candidates, request.limit)
        indexed_count = sum(indexed.count() for indexed in indexes)
        return SearchResults(
            hits=hits, total=total - gone, indexed=indexed_count, partial=self._partial or self._overlay.full
        )

    def _compiled(self, query: Query, indexes: Sequence[Indexed], number: int) -> "Compiled":
        def rarity(field: str, word: str) -> float:
            return correction(number, [one.rarity(field, word) for one in indexes])

        compiler = QueryCompiler(rarity if len(indexes) > 1 else None)
        found = compiler.compiled(query)
        if indexes[number] is self._indexed and self._overlay.hidden:
            return compiler.all_of(
                found, never=[compiler.one_of_labels("digest", list(self._overlay.hidden))]
            )
        return found

    def _hits(
        self, query: Query, candidates: Sequence[tuple[Candidate, Indexed]], limit: int
    ) -> tuple[list[Hit], int]:
        """Return the first `limit` that are still there, and how many before them are gone."""
        hits, gone = list[Hit](), 0
        snippets = dict[int, Snippets]()
        for candidate, indexed in candidates:
            if len(hits) >= limit:
                break
            if self._store.size(candidate.stored.record.digest) is None:
                gone += 1
                continue
            if id(indexed) not in snippets:
                snippets[id(indexed)] = Snippets(query, indexed)
            record, quality, tags = candidate.stored.record, candidate.stored.quality, candidate.stored.tags
            snippet = self._snippet(snippets[id(indexed)], record)
            hits.append(
                Hit(record=record, tags=tags, score=candidate.score, quality=quality, snippet=snippet)
            )
        return hits, gone

    def _snippet(self, snippets: Snippets, record: ArtifactRecord) -> Snippet | None:
        if not snippets.wanted:
            return None
        try:
            text = self.entries.text(record)
        except (ArtifactMissing, ArtifactCorrupt, *UNREAD):
            return None
        return None if text is None else snippets.of(text)
