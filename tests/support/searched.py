"""A store of artifacts and its search."""

import time
from pathlib import Path

from symphony.pit.artifacts import FileArtifacts
from symphony.pit.artifacts.search.entries import Entries
from symphony.pit.artifacts.search.finding import ArtifactFinder
from symphony.ports.artifacts import Provenance
from symphony.ports.search import Hit, SearchRequest, SearchResults, Sorting
from symphony.ports.values import ArtifactRef

RUN = "019332a1-7d5e-7000-8000-1769ff3e0001"


class Searched:
    """A store and its search. `commit` decides whether what was put is in the index or lies over it."""

    def __init__(self, root: Path, *, commit: bool) -> None:
        self.store, self.commits, self.asked = FileArtifacts(root), commit, 0
        self.finder = ArtifactFinder(
            self.store, root, root / "search", Entries(self.store), build=self._asked
        )

    def _asked(self) -> None:
        self.asked += 1

    def put(
        self, body: bytes | str, name: str | None = None, kind: str = "text/plain", node: str | None = None
    ) -> ArtifactRef:
        body = body if isinstance(body, bytes) else body.encode()
        ref = self.store.put(body, content_type=kind, name=name)
        if node is not None:
            by = Provenance(
                run_id=RUN, node=node, port="result", operator="text.lines", version="1", model="minilm",
                parameters={"command": "wc --lines"}, created_at=1.0,
            )  # fmt: skip
            self.store.link(ref, by)
        return ref

    def results(self, text: str = "", *, sort: Sorting = "score", limit: int = 20) -> SearchResults:
        return self.search(SearchRequest(text=text, sort=sort, limit=limit))

    def search(self, request: SearchRequest) -> SearchResults:
        if self.commits:
            assert self.finder.builder().catch_up() is not None
        return self.finder.search(request, now_s=time.time())  # noqa: TID251  # as old as the files

    def hits(self, text: str = "", *, sort: Sorting = "score") -> list[Hit]:
        return list(self.results(text, sort=sort).hits)

    def names(self, text: str = "", *, sort: Sorting = "score") -> list[str]:
        return [hit.record.names[0] for hit in self.hits(text, sort=sort)]
