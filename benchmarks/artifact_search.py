"""How quick is the search of artifacts, beside SQLite's FTS5 on the same documents in the same process?

Question: milliseconds of a search, median and 99th percentile of 200 queries of each kind (one word, two
words in a phrase, a word in a field, a word with filters on type and size), each with its best 20 artifacts,
their records, quality and snippets; of the search that follows a put, until it finds what was put; documents
a second while the index is built; bytes of the index beside those of FTS5, which holds the texts, too. The
peer gives 20 names and snippets by BM25. Size: documents of 40 lines cut from the sources and pages of Python
and of the packages that are installed here, 20,000 of them, or as many as the command line says.
Budget: 20 ms at p99 with 100,000 documents.

Run: python benchmarks/artifact_search.py [DOCUMENTS]; prints one JSON line.
"""

import itertools
import random
import re
import sqlite3
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent))  # beside `python -P`

from measuring import Figure, line, seconds

from symphony.pit.artifacts import FileArtifacts
from symphony.pit.artifacts.search.entries import Entries
from symphony.pit.artifacts.search.finding import ArtifactFinder
from symphony.ports.search import SearchRequest

DOCUMENTS, QUERIES, LIMIT, SEED = 20_000, 200, 20, 7
TYPES = {".py": "text/x-python", ".md": "text/markdown", ".txt": "text/plain", ".rst": "text/x-rst"}
BUDGET_MS = 20.0

Document = tuple[str, str, str]
"""Name, content type and text."""


def documents(count: int) -> list[Document]:
    """Pieces of real files, none twice: of 40 lines, and of fewer if that is not enough."""
    places = dict.fromkeys(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib"))
    files = sorted(
        file for place in places for file in place.rglob("*") if file.suffix in TYPES and file.is_file()
    )
    texts = [
        (file.name, TYPES[file.suffix], file.read_text("utf-8", "replace").split("\n")) for file in files
    ]
    found = dict[str, Document]()
    for lines in (40, 25, 15, 10):
        for name, kind, rows in texts:
            for start in range(0, len(rows), lines):
                text = "\n".join(rows[start : start + lines])
                if len(text) > 100:
                    found.setdefault(text, (f"{name}-{start}-{lines}", kind, text))
                if len(found) >= count:
                    return list(found.values())
    return list(found.values())


def queries(found: Sequence[Document]) -> dict[str, list[tuple[str, str]]]:
    """By kind, queries of ours and of FTS5 that mean the same, made of words that are there."""
    rng, out = random.Random(SEED), dict[str, list[tuple[str, str]]]()
    kinds: dict[str, Callable[[list[str], str], tuple[str, str]]] = {
        "one word": lambda words, _: (words[0], f'text:"{words[0]}" OR name:"{words[0]}"'),
        "a phrase": lambda words, _: (f'"{words[0]} {words[1]}"', f'"{words[0]} {words[1]}"'),
        "a word in a field": lambda words, name: (
            f"{words[0]} name:{name}",
            f'"{words[0]}" AND name:"{name}"',
        ),
        "a word with filters": lambda words, _: (f"{words[0]} type:text/x-python size:>500", f'"{words[0]}"'),
    }
    for kind, make in kinds.items():
        seen = dict[tuple[str, str], None]()
        while len(seen) < QUERIES:
            name, _, text = found[rng.randrange(len(found))]
            words = [word.lower() for word in re.findall(r"[A-Za-z]{3,20}", text)]
            if len(words) > 2:
                at = rng.randrange(len(words) - 1)
                seen[make(words[at : at + 2], re.split(r"\W+|_", name)[0].lower() or "x")] = None
        out[kind] = list(seen)
    return out


def fts5(path: Path, found: Sequence[Document]) -> tuple[sqlite3.Connection, float]:
    """The peer, filled, and the seconds that took."""
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE VIRTUAL TABLE docs USING fts5(name, text, kind UNINDEXED, size UNINDEXED, "
        "tokenize='unicode61 remove_diacritics 2')"
    )
    started = time.perf_counter()
    with connection:
        rows = ((name, text, kind, len(text)) for name, kind, text in found)
        connection.executemany("INSERT INTO docs VALUES (?, ?, ?, ?)", rows)
    return connection, time.perf_counter() - started


def asked(connection: sqlite3.Connection, query: str, *, filtered: bool) -> list[tuple[object, ...]]:
    """The peer's answer."""
    more = "AND kind = 'text/x-python' AND size > 500 " if filtered else ""
    return connection.execute(
        "SELECT name, snippet(docs, 1, '[', ']', '…', 24), bm25(docs, 3.0, 1.0) AS score FROM docs "
        f"WHERE docs MATCH ? {more}ORDER BY score LIMIT {LIMIT}",
        (query,),
    ).fetchall()


def stored(store: FileArtifacts, found: Sequence[Document]) -> Iterator[int]:
    """Put the documents, many to a sync."""
    for number, (name, kind, text) in enumerate(found):
        store.put(text.encode("utf-8", "replace"), content_type=kind, name=name, durable=False)
        yield number
    store.settle()


def size_of(folder: Path) -> int:
    """The bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def percentile(times: Sequence[float], share: float) -> float:
    """The time that this share of all times does not exceed, in ms."""
    return sorted(times)[min(int(len(times) * share), len(times) - 1)] * 1000


def main() -> None:
    """Measure, and print the line."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else DOCUMENTS
    found = documents(count)
    figures = list[Figure]()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        store = FileArtifacts(home / "artifacts")
        for _ in stored(store, found):
            pass
        entries = Entries(store)
        finder = ArtifactFinder(store, store.root, store.root / "search", entries)
        built_s = seconds(lambda: finder.builder().rebuild())
        peer, peer_s = fts5(home / "fts5.db", found)
        figures.append(
            Figure("documents indexed a second", len(found) / built_s, "", peer=len(found) / peer_s)
        )
        index_bytes, peer_bytes = size_of(store.root / "search"), (home / "fts5.db").stat().st_size
        figures.append(
            Figure(
                "bytes of the index a document",
                index_bytes / len(found),
                "bytes",
                peer=peer_bytes / len(found),
            )
        )

        def search(text: str) -> int:
            return finder.search(SearchRequest(text=text, limit=LIMIT), now_s=0.0).total

        search("warm")
        for kind, pairs in queries(found).items():
            ours, theirs = list[float](), list[float]()
            for mine, other in pairs:  # in turn: what slows the machine down slows both
                ours.append(seconds(lambda mine=mine: search(mine)))  # type: ignore[misc]
                theirs.append(
                    seconds(lambda other=other, kind=kind: asked(peer, other, filtered="filters" in kind))
                )  # type: ignore[misc]
            figures.append(Figure(f"{kind}, p50", median(ours) * 1000, "ms", peer=median(theirs) * 1000))
            figures.append(
                Figure(
                    f"{kind}, p99", percentile(ours, 0.99), "ms", BUDGET_MS, 100.0, percentile(theirs, 0.99)
                )
            )
        after = list[float]()
        for number in itertools.islice(itertools.count(), 50):
            store.put(f"quokka{number}".encode(), content_type="text/plain", name=f"quokka {number}")
            after.append(seconds(lambda number=number: search(f"quokka{number}")))  # type: ignore[misc]
            assert search(f"quokka{number}") == 1, "what was put is not found"
        figures.append(Figure("the search after a put, p50", median(after) * 1000, "ms"))
        figures.append(Figure("the search after a put, p99", percentile(after, 0.99), "ms", BUDGET_MS, 100.0))
        store.close()
        peer.close()
    print(line("artifact_search", f"{len(found):,} documents", figures))


if __name__ == "__main__":
    main()
