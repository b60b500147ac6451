"""What leaves a home: through the trash, by limits, and once a day."""

import os
from contextlib import closing
from pathlib import Path

import pytest

from symphony import Symphony, WorkflowBuilder, operator
from symphony.app import upkeep
from symphony.app.upkeep import STAMP
from symphony.commons.config import load_config
from symphony.pit.artifacts.packs.packs import Packs
from symphony.ports.artifacts import ArtifactMissing
from symphony.ports.retention import ArtifactTrashed, Fate, Tier
from symphony.ports.runs import RunResult
from symphony.ports.values import ArtifactRef
from symphony.workflow.model import Workflow

pytestmark = pytest.mark.slow  # whole runs, on disk

LARGE = 40_000


@operator("upkeep.large", version="1.0.0", pure=True)
def large(letter: str) -> str:
    """A value too large to travel inline."""
    return letter * LARGE


def workflow(letter: str = "x") -> Workflow:
    return (
        WorkflowBuilder("large")
        .add_operator("upkeep.large", name="big", inputs={"letter": letter})
        .output("same", "${{ big.result }}")
        .build()
    )


async def ran(home: Path, letter: str) -> RunResult:
    async with Symphony.open(home, operators=[large]) as symphony:
        return await (await symphony.start(workflow(letter))).result()


def body_of(result: RunResult) -> ArtifactRef:
    output = result.outputs["same"]
    assert isinstance(output, ArtifactRef)
    return output


def age(home: Path, seconds: float = 7_200) -> None:
    """As if every body had been stored that long ago."""
    with closing(Packs(home / "artifacts")) as packs:
        for row in list(packs.bodies()):
            then = row.touched - seconds
            packs.ask(lambda index, row=row, then=then: index.touch(row.digest, then))  # type: ignore[misc]


def opened(home: Path, settings: str = "") -> Symphony:
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(settings)
    return Symphony.open(home, operators=[large], config=load_config(home=home))


async def test_a_pruned_run_s_bodies_can_be_brought_back_until_their_time_is_over(tmp_path: Path) -> None:
    body = body_of(await ran(tmp_path, "x"))
    age(tmp_path)
    symphony = opened(tmp_path)
    pruned = symphony.prune(0.0)
    assert (pruned.collected.objects, pruned.grace_s) == (1, 7 * 86_400)
    with pytest.raises(ArtifactTrashed):
        symphony.artifacts.find(body.digest)
    assert symphony.artifacts.restore().objects == 1
    assert symphony.artifacts.find(body.digest).size == body.size
    assert [one.verdict.rule for one in symphony.clear().judged] == ["restored"]


async def test_without_a_trash_what_goes_is_gone_at_once(tmp_path: Path) -> None:
    body = body_of(await ran(tmp_path, "x"))
    age(tmp_path)
    symphony = opened(tmp_path, '[retention]\ntrash = "0s"\n')
    assert symphony.prune(0.0).collected.objects == 1
    with pytest.raises(ArtifactMissing):
        symphony.artifacts.get(body.digest)


async def test_what_was_stored_a_short_time_ago_is_not_even_moved_to_the_trash(tmp_path: Path) -> None:
    await ran(tmp_path, "x")
    symphony = opened(tmp_path)
    symphony.prune(0.0)
    assert [one.fate for one in symphony.clear(at_once=True).judged] == [Fate.STAYS]


RULE = '[[retention.artifacts]]\nname = "all"\ndrop = { referenced = true }\n'


async def test_a_rule_may_drop_what_runs_refer_to_if_they_have_ended(tmp_path: Path) -> None:
    await ran(tmp_path, "x")
    age(tmp_path)
    assert [one.fate for one in opened(tmp_path).clear(dry_run=True).judged] == [Fate.STAYS]
    assert [one.fate for one in opened(tmp_path, RULE).clear(dry_run=True).judged] == [Fate.TRASHED]


async def test_what_a_run_refers_to_that_cannot_be_read_stays(tmp_path: Path) -> None:
    await ran(tmp_path, "x")
    age(tmp_path)
    journal = next((tmp_path / "journal").glob("*.db"))
    journal.write_bytes(b"damaged" * 1_000)
    for index in (tmp_path / "journal").glob("*.index*"):
        index.unlink()
    (told,) = opened(tmp_path, RULE).clear(dry_run=True).judged
    assert (told.fate, told.verdict.rule) == (Fate.STAYS, "unended")


async def test_runs_beyond_the_limits_go_the_oldest_first(tmp_path: Path) -> None:
    runs = [(await ran(tmp_path, letter)).run_id for letter in "abc"]
    symphony = opened(tmp_path, "[retention.runs]\nmax_count = 2\n")
    foreseen = symphony.prune_by_limits(dry_run=True)
    assert foreseen is not None
    assert [run.run_id for run in foreseen.runs] == runs[:1]
    symphony.prune_by_limits()
    assert sorted(symphony.runs.ids()) == sorted(runs[1:])
    assert opened(tmp_path).prune_by_limits() is None


async def test_upkeep_by_itself_happens_once_a_day_and_only_if_it_is_asked_for(tmp_path: Path) -> None:
    limits = "[retention.runs]\nmax_count = 0\n"
    async with opened(tmp_path, limits) as symphony:
        await (await symphony.start(workflow("a"))).result()
    assert len(Symphony.open(tmp_path).runs.ids()) == 1
    automatic = f"[retention]\nautomatic = true\n{limits}"
    async with opened(tmp_path, automatic) as symphony:
        await (await symphony.start(workflow("b"))).result()
    assert Symphony.open(tmp_path).runs.ids() == []
    async with opened(tmp_path, automatic) as symphony:
        await (await symphony.start(workflow("c"))).result()
    assert len(Symphony.open(tmp_path).runs.ids()) == 1
    os.utime(tmp_path / STAMP, (0, 0))
    async with opened(tmp_path, automatic) as symphony:
        await (await symphony.start(workflow("d"))).result()
    assert Symphony.open(tmp_path).runs.ids() == []


async def test_cached_results_are_forgotten_by_age_and_number(tmp_path: Path) -> None:
    for letter in "abc":
        await ran(tmp_path, letter)
    kept = opened(tmp_path)
    assert (kept.cache.size().entries, kept.prune_cache()) == (3, 0)
    assert opened(tmp_path, "[retention.cache]\nmax_count = 2\n").prune_cache() == 1
    assert opened(tmp_path, '[retention.cache]\nmax_age = "1h"\n').prune_cache() == 0
    assert opened(tmp_path, '[retention.cache]\nmax_age = "0s"\n').prune_cache() == 2
    assert opened(tmp_path).cache.size().entries == 0


def put(home: Path, body: bytes, name: str) -> ArtifactRef:
    store = Symphony.open(home).artifacts
    return store.put(body, content_type="application/json", name=name)


async def test_rules_about_quality_judge_what_is_in_the_trash_as_before(tmp_path: Path) -> None:
    whole, broken = put(tmp_path, b'{"a": 1}', "whole"), put(tmp_path, b'{"a": ', "broken")
    age(tmp_path)
    rule = '[[retention.artifacts]]\nname = "bad"\ndrop = { quality_below = 0.6 }\n'
    for fate in (Fate.TRASHED, Fate.WAITS):
        told = {one.standing.digest: one for one in opened(tmp_path, rule).clear().judged}
        assert (told[broken.digest].fate, told[whole.digest].fate) == (fate, Fate.STAYS)
    assert told[broken.digest].verdict.rule == "bad"


async def test_the_daily_upkeep_moves_what_rules_say_and_a_run_that_uses_it_brings_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "LITTLE_BYTES", 0)
    body = body_of(await ran(tmp_path, "x"))
    age(tmp_path)
    rules = '[[tiers.rules]]\nwarm = { older = "1h" }\n'
    async with opened(tmp_path, '[retention]\nautomatic = true\n[tiers]\nrest = "1h"\n' + rules) as symphony:
        await (await symphony.start(workflow("y"))).result()
    assert opened(tmp_path).artifacts.tier_of(body.digest) is Tier.WARM
    assert body_of(await ran(tmp_path, "x")).digest == body.digest
    assert opened(tmp_path).artifacts.tier_of(body.digest) is Tier.HOT
