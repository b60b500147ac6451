"""Symphony as a whole process, through its Python API. `everyday` measures `symphony run` beside it."""

import asyncio
from pathlib import Path
from time import perf_counter

import written
from whole import Took, Way, main

from symphony import Symphony
from symphony.sdk import Operator, load_operators
from symphony.workflow import loads


def way(
    *,
    memory: bool = False,
    is_async: bool = False,
    cache: str = "auto",
    caching: bool = True,
    again: bool = False,
) -> Way:
    """A way to run it; `cache` is the nodes' own key. `again` measures a second run in the same home."""

    def run(work: written.Work, folder: Path) -> Took:
        document = written.document(work, is_async=is_async, cache=cache)
        return asyncio.run(_ran(document, None if memory else folder / "home", folder, caching, again))

    return run


async def _ran(document: str, home: Path | None, folder: Path, caching: bool, again: bool) -> Took:
    started = perf_counter()
    async with Symphony.open(home, operators=operators(folder), memory=home is None) as symphony:
        if again:
            await (await symphony.start(loads(document, "json"))).result()
            started = perf_counter()
        handle = await symphony.start(loads(document, "json"), cache=caching)
        ready = perf_counter()
        result = await handle.result()
        ended = perf_counter()
    return Took(ready - started, ended - ready, result.outputs["last"])


def operators(folder: Path) -> list[Operator]:
    """The operators of a user's file."""
    file = folder / "operators.py"
    file.write_text(written.OPERATORS, encoding="utf-8")
    return load_operators(file)


WAYS = {
    "async def": way(is_async=True),
    "async def, in memory": way(is_async=True, memory=True),
    "def": way(),
    "def, --no-cache": way(caching=False),
    "def, cache: on": way(cache="on"),
    "def, cache: off": way(cache="off"),
    "def, all cached": way(cache="on", again=True),
}

if __name__ == "__main__":
    main(WAYS)
