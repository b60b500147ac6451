"""The lists of fan-outs with large elements: loaded when they are read, once, and not on the loop."""

import asyncio
import json
import threading
from collections import Counter
from pathlib import Path

import pytest

from symphony import operator
from symphony.app import Symphony
from symphony.pit.artifacts import FileArtifacts
from symphony.pit.tracker.nodes.values import LOADED_AT_ONCE_MAX, Gathered
from symphony.ports.runs import RunStatus
from symphony.ports.values import ArtifactRef, Digest, StoredValue, Value
from symphony.workflow import loads

COUNT, CHARS = 40, 60_000


@operator("gathered.text", version="1.0.0", pure=True)
def text(number: int) -> str:
    """A text that is stored apart."""
    return f"{number} ".ljust(CHARS, "x")


@operator("gathered.length", version="1.0.0", pure=True)
def length(texts: list[str]) -> int:
    """How long all are, in a thread."""
    return sum(map(len, texts))


@operator("gathered.length_here", version="1.0.0", pure=True)
async def length_here(texts: list[str]) -> int:
    """How long all are, on the loop."""
    return sum(map(len, texts))


def reading(**more: object) -> dict[str, object]:
    return {"operator": "debug.value", "inputs": {"value": 7}, **more}


@pytest.mark.parametrize(
    "node",
    [
        {"operator": "gathered.length", "inputs": {"texts": "${{ each.result }}"}},
        {"operator": "gathered.length_here", "inputs": {"texts": "${{ each.result }}"}},
        {"operator": "debug.value", "inputs": {"value": ["${{ each.result }}", "${{ each.result }}"]}},
        reading(inputs={"value": "${{ size(each.result) }}"}),
        reading(inputs={"value": "${{ each.result[3] }}"}),
        reading(when="size(each.result) > 3"),
        reading(for_each="each.result"),
        reading(for_each="[1, 2, 3]", inputs={"value": "${{ each.result[item] }}"}),
    ],
)
def test_elements_that_are_stored_are_loaded_once_and_not_on_the_loop(
    node: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, loads_of, on_loop = threading.get_ident(), Counter[Digest](), list[Digest]()
    get = FileArtifacts.get

    def loaded(self: FileArtifacts, digest: Digest) -> bytes:
        loads_of[digest] += 1
        if threading.get_ident() == here:
            on_loop.append(digest)
        return get(self, digest)

    monkeypatch.setattr(FileArtifacts, "get", loaded)
    each = {"operator": "gathered.text", "for_each": [*range(COUNT)], "inputs": {"number": "${{ item }}"}}
    document = json.dumps({"symphony": 1, "name": "t", "nodes": {"each": each, "reads": node}})

    async def ran() -> RunStatus:
        operators = [text, length, length_here]
        async with Symphony.open(tmp_path / "home", operators=operators) as symphony:
            handle = await symphony.start(loads(document, "json"), cache=False)
            return (await handle.result()).status

    assert COUNT * CHARS > LOADED_AT_ONCE_MAX
    assert asyncio.run(ran()) is RunStatus.SUCCEEDED
    assert on_loop == []
    assert len(loads_of) == COUNT
    assert set(loads_of.values()) == {1}


def test_a_list_is_made_once_however_many_threads_read_it() -> None:
    refs: list[StoredValue] = [ArtifactRef(digest=Digest(f"{i}" * 64), size=50_000) for i in range(3)]
    loaded: list[StoredValue] = []
    begun, going = threading.Event(), threading.Event()

    def plain(value: StoredValue) -> Value:
        if not isinstance(value, ArtifactRef):
            return value
        loaded.append(value)
        begun.set()
        going.wait(10)
        return "text"

    gathered = Gathered({"large": refs, "small": [1, None]}, plain, Gathered.load)
    assert (list(gathered), len(gathered), gathered.get("missing")) == (["large", "small"], 2, None)
    assert gathered["small"] == [1, None]
    assert loaded == []
    found: list[StoredValue] = []
    threads = [threading.Thread(target=lambda: found.append(gathered["large"])) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    going.set()
    for thread in threads:
        thread.join()
    assert found == [["text"] * 3] * 3
    assert all(one is found[0] for one in found)
    assert loaded == refs
