"""A loop's journal grows with what changes; whatever process goes on with it has the same state."""

import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from symphony import Symphony
from symphony.pit.tracker.core.records import OpenedRecord
from symphony.pit.tracker.store.journal import SqliteStore, read_run
from symphony.ports.runs import RunStatus
from symphony.ports.values import Value
from symphony.workflow import Workflow, loads

TEXT = "some text of a message that is about eighty characters long, as messages are"


def workflow(state: str, body: str, after: str, rounds: int, env: str = "") -> Workflow:
    return loads(
        f"""
name: grows
{env}
nodes:
  grow:
    control: loop
    state: {state}
    max_iterations: 100000
    body:
      one: {{operator: debug.value, inputs: {{value: "{body}"}}}}
    next: {after}
    until: iteration >= {rounds - 1}
outputs: {{found: "${{{{ grow }}}}"}}
""".encode(),
        "yaml",
    )


APPENDED = (
    "{items: []}",
    "${{ state.items + [{'i': iteration, 'text': '" + TEXT + "'}] }}",
    "{items: one.result}",
)
LONGER = ("{text: ''}", "${{ state.text + string(iteration) + ' " + TEXT + "' }}", "{text: one.result}")
DEEPER = (
    "{talk: {turns: [], last: 0}}",
    "${{ {'turns': state.talk.turns + ['" + TEXT + "'], 'last': iteration} }}",
    "{talk: one.result}",
)
KINDS = pytest.mark.parametrize("parts", [APPENDED, LONGER, DEEPER], ids=["list", "text", "map"])


def written(home: Path) -> int:
    """Bytes of the journals and of the artifacts."""
    kept = [*(home / "journal").iterdir(), *(home / "artifacts").rglob("packs/*")]
    return sum(path.stat().st_size for path in kept)


async def run(home: Path, one: Workflow, environment: Mapping[str, str] | None = None) -> tuple[str, Value]:
    async with Symphony.open(home) as symphony:
        handle = await symphony.start(one, environment=environment)
        result = await handle.result()
        assert result.status is RunStatus.SUCCEEDED
        found = result.outputs["found"]
        return handle.run_id, symphony_value(symphony, found)


def symphony_value(symphony: Symphony, value: object) -> Value:
    from symphony.pit.artifacts.values.codec import value_of
    from symphony.ports.values import ArtifactRef

    if isinstance(value, ArtifactRef):
        return value_of(symphony.artifacts.get(value.digest), value.encoding)
    return (
        {key: symphony_value(symphony, one) for key, one in value.items()}
        if isinstance(value, dict)
        else value
    )  # type: ignore[return-value]


@pytest.mark.slow
@KINDS
async def test_what_a_loop_writes_grows_with_its_rounds_and_not_with_their_square(
    parts: tuple[str, str, str], tmp_path: Path
) -> None:
    sizes = []
    for rounds in (100, 200, 400, 800):
        await run(tmp_path / str(rounds), workflow(*parts, rounds))
        sizes.append(written(tmp_path / str(rounds)))
    steps = [later - earlier for earlier, later in itertools.pairwise(sizes)]
    assert steps[1] < 2.9 * steps[0] + 40_000
    assert steps[2] < 2.9 * steps[1] + 40_000
    assert sizes[3] < 1_000_000


@pytest.mark.parametrize("secret", [False, True], ids=["plain", "secrets"])
@KINDS
async def test_a_run_that_died_in_any_round_goes_on_with_the_state_that_it_had(
    parts: tuple[str, str, str], secret: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREETING", "a message that is")
    one = workflow(*parts, 40, "env: [GREETING]" if secret else "")
    run_id, right = await run(tmp_path / "whole", one)
    meta, records = read_run(tmp_path / "whole" / "journal" / f"{run_id}.db")
    opened = [record for record in records if isinstance(record, OpenedRecord)]
    assert sum(not isinstance(record.values, bytes) for record in opened) > 20
    for died in range(3, len(records) - 1, 9):
        home = tmp_path / str(died)
        store = SqliteStore.create(home / "journal" / f"{run_id}.db", meta)
        store.commit(list(records[:died]))
        store.close()
        shutil.copytree(tmp_path / "whole" / "artifacts", home / "artifacts")
        async with Symphony.open(home) as symphony:
            result = await (await symphony.resume(run_id)).result()
            assert symphony_value(symphony, result.outputs["found"]) == right
    if secret:
        for path in (tmp_path / "whole" / "journal").iterdir():
            assert b"a message that is" not in path.read_bytes().replace(meta.workflow, b"")


LARGE = b"""
name: grows
nodes:
  many: {operator: data.range, inputs: {count: 60000}}
  grow:
    control: loop
    state: {items: "${{ many.result }}"}
    max_iterations: 1000
    body:
      one: {operator: debug.value, inputs: {value: "${{ state.items + [iteration] }}"}}
    next: {items: one.result}
    until: iteration >= 29
outputs: {found: "${{ grow.items[60029] }}"}
"""


@pytest.mark.slow
async def test_a_state_that_is_large_from_the_start_grows_by_what_is_new_too(tmp_path: Path) -> None:
    _, found = await run(tmp_path, loads(LARGE, "yaml"))
    assert found == 29
    assert written(tmp_path) < 900_000  # 220 kB for the list at the start, as much at the end


async def test_a_rerun_takes_rounds_over_and_ends_the_same(tmp_path: Path) -> None:
    one = workflow(*APPENDED, 40)
    run_id, right = await run(tmp_path, one)
    async with Symphony.open(tmp_path) as symphony:
        again = await (await symphony.rerun(run_id, first="grow#20.one")).result()
        assert again.nodes["grow#19.one"].cached_from == run_id
        assert symphony_value(symphony, again.outputs["found"]) == right
        events = [event.type for event in symphony.runs.events(run_id)]
        assert events.count("node.opened") == 40
