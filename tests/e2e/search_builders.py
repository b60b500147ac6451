"""A script of tests: processes that build the index of a search, and what may happen to them.

Usage: search_builders.py MODE ROOT. Prints one JSON object. Forks its builders.
"""

import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts import FileArtifacts
from symphony.pit.artifacts.search import building
from symphony.pit.artifacts.search.entries import Entries
from symphony.pit.artifacts.search.files import IndexFiles
from symphony.pit.artifacts.search.finding import ArtifactFinder
from symphony.ports.search import SearchRequest

FIRST, MORE = 300, 300


class Home:
    """A store and its search."""

    def __init__(self, root: Path) -> None:
        self.store = FileArtifacts(root)
        self.finder = ArtifactFinder(self.store, root, root / "search", Entries(self.store))

    def put(self, word: str, count: int) -> None:
        for number in range(count):
            body = f"{word} {word}{number} " + " ".join(f"x{number}y{one}" for one in range(100))
            self.store.put(body.encode(), content_type="text/plain", name=f"{word}{number}", durable=False)
        self.store.settle()

    def found(self, text: str) -> tuple[int, bool]:
        results = self.finder.search(SearchRequest(text=text, limit=1), now_s=0.0)
        return results.total, results.partial


def forked(work: Callable[[], object]) -> int:
    """Run `work` in a child; return how that ended, as `os.waitpid` says."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitpid(pid, 0)[1]


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at_commit(when: str, number: int) -> Callable[[IndexFiles], object]:
    """Have this process die around its commit of a number: before it, after it, or after it is remembered."""
    original, count = IndexFiles.committing, iter(range(1_000))

    @contextmanager
    def committing(files: IndexFiles) -> Iterator[None]:
        due = next(count) == number
        with original(files):
            if due and when == "before":
                die()
            yield
            if due and when == "after":
                die()
        if due and when == "remembered":
            die()

    return committing


def killed(root: Path) -> dict[str, object]:
    """Kill a builder at each step of its commits: what a search says is right, and the next one goes on."""
    wrong, ended = list[object](), set[int]()
    for when in ("before", "after", "remembered"):
        for number in range(3):
            place = root / f"{when}-{number}"
            home = Home(place)
            home.put("first", FIRST)
            home.finder.builder().catch_up()
            home.put("more", MORE)
            home.store.close()

            def build(place: Path = place, when: str = when, number: int = number) -> None:
                building.BATCH = 100  # type: ignore[misc]  # several commits
                IndexFiles.committing = die_at_commit(when, number)  # type: ignore[method-assign,assignment]
                Home(place).finder.builder().rebuild()

            ended.add(forked(build))
            for attempt in ("killed", "caught up"):
                later = Home(place)
                for word, total in (("first", FIRST), ("more", MORE), ("first7", 1), ("more7", 1)):
                    found, partial = later.found(word)
                    if found > total or (found < total and (not partial or attempt == "caught up")):
                        wrong.append([when, number, attempt, word, found, partial])
                later.finder.builder().catch_up()
                later.store.close()
    return {"wrong": wrong, "ended": sorted(ended)}


def together(root: Path) -> dict[str, object]:
    """Have processes put, search and build at once: each finds what it has put, and all is found later."""

    def work(who: int) -> None:
        home = Home(root)
        for number in range(20):
            word = f"of{who}n{number}"
            home.store.put(word.encode(), content_type="text/plain", name=word)
            assert home.found(word)[0] == 1, word
            if number % 5 == who % 5:
                home.finder.builder().catch_up()
        home.store.close()

    Home(root).put("first", 10)
    pids = list[int]()
    for who in range(4):
        if (pid := os.fork()) == 0:
            code = 1
            try:
                work(who)
                code = 0
            finally:
                os._exit(code)
        pids.append(pid)
    ended = [os.waitpid(pid, 0)[1] for pid in pids]
    home = Home(root)
    home.finder.builder().catch_up(wait=True)
    return {"ended": ended, "found": home.found("")}


def limited(root: Path) -> dict[str, object]:
    """Build where files may not grow: the index stays, and what cannot be written is an error."""
    home = Home(root)
    home.put("first", FIRST)
    home.finder.builder().catch_up()
    home.put("more", 2_000)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    codes = list[str]()
    for build in (home.finder.builder().catch_up, home.finder.builder().catch_up):
        try:
            build()
        except SymphonyError as error:
            codes.append(error.code)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    before = Home(root).found("first")
    home.finder.builder().catch_up()
    left = sorted(path.name for path in (root / "search").iterdir())
    return {"codes": codes, "before": before, "after": Home(root).found("more"), "left": left}


def main() -> None:
    mode, root = sys.argv[1], Path(sys.argv[2])
    print(json.dumps({"killed": killed, "together": together, "limited": limited}[mode](root)))


if __name__ == "__main__":
    main()
