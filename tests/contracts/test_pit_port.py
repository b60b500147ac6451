"""What every `PitPort` keeps to: in memory with fakes, and in a home, with the pool here or elsewhere."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection
from pathlib import Path

import pytest
from tests.support.waiting import PATIENCE_S, until

from symphony import Symphony
from symphony.app.allocating import SymphonyPit, allocated, document_of
from symphony.commons.errors import SymphonyError
from symphony.commons.settings import ArbiterConfig, Config, ModelConfig, PoolConfig
from symphony.ports.arbiter import ResourceRequest
from symphony.ports.artifacts import ArtifactMissing
from symphony.ports.data import WorkflowId, WorkflowSpec, WorkflowStep
from symphony.ports.models import ModelUnavailable
from symphony.ports.pit import PitPort, WorkflowDocument, WorkflowUnknown
from symphony.ports.pool import ModelPhase
from symphony.testing import FakeModel
from symphony.testing.models import FakeModels

pytestmark = pytest.mark.slow

FLOW = """
name: Embed
nodes:
  first: {instrument: minilm, inputs: {texts: [a]}}
  again:
    control: loop
    state: {found: 0}
    until: iteration >= 1
    body: {inner: {instrument: "OTHER", inputs: {texts: [a]}}}
    next: {found: "state.found"}
outputs: {number: "${{ size(first.vectors) }}"}
"""
SETTINGS = Config(
    pool=PoolConfig(models=2),
    arbiter=ArbiterConfig(cores=1.0),
    models={
        "other": ModelConfig(provider="minilm"),
        "third": ModelConfig(provider="minilm"),
        "far": ModelConfig(provider="openai", kind="embedding", model="far", url="http://127.0.0.1:9/v1"),
    },
)
NAMES = ("minilm", "other", "third", "far")


class Place:
    """A pit, and the Symphony that it is part of; `owner` has the pool of its home, if another has."""

    def __init__(self, symphony: Symphony, owner: Symphony | None) -> None:
        self.symphony, self.owner = symphony, owner
        self.pit: PitPort = SymphonyPit(symphony)

    def hot(self) -> set[str] | None:
        """The models that are loaded, where there are processes."""
        pool = getattr((self.owner or self.symphony).models, "_local", None)
        if pool is None:
            return None
        return {one.model for one in pool.status().pool.models if one.phase is ModelPhase.HOT}

    def kept(self) -> int | None:
        """How many leases hold, where there are processes."""
        pool = getattr((self.owner or self.symphony).models, "_local", None)
        return None if pool is None else sum(len(one.users) for one in pool.status().pool.models)


@pytest.fixture(params=["memory", "owner", "member"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "memory":
        fakes = {name: FakeModel.embedding() for name in NAMES}
        catalog = {name: fake.info(name) for name, fake in fakes.items()}
        async with Symphony.open(
            memory=True, config=SETTINGS, models=FakeModels(fakes), catalog=catalog
        ) as symphony:
            yield Place(symphony, None)
        return
    home = tmp_path / "home"
    async with Symphony.open(home, config=SETTINGS) as symphony:
        if request.param == "owner":
            yield Place(symphony, None)
            return
        await symphony.models.invoke("minilm", {"texts": ["a"]}, {})
        async with Symphony.open(home, config=SETTINGS) as other:
            yield Place(other, symphony)


def flow(folder: Path, *models: str) -> WorkflowId:
    path = folder / f"{'-'.join(models)}.yaml"
    nodes = {name: {"instrument": name, "inputs": {"texts": ["a"]}} for name in models}
    path.write_text(json.dumps({"symphony": 1, "name": "Several", "nodes": nodes}))
    return WorkflowId(str(path))


async def test_an_allocated_model_stays_loaded_and_runs_may_ask_it(place: Place) -> None:
    handle = await place.pit.allocate_model("minilm")
    other = await place.pit.allocate_model("minilm")
    assert (handle.model, other.model) == ("minilm", "minilm")
    assert handle.lease != other.lease
    answer = await place.symphony.models.invoke("minilm", {"texts": ["a", "b"]}, {})
    assert len(answer["vectors"]) == 2  # type: ignore[arg-type]
    assert place.hot() in (None, {"minilm"})
    for one in (handle, handle, other):
        await place.pit.release_model(one)
    await until(lambda: place.kept() in (None, 0), every_s=0.01)
    with pytest.raises(ModelUnavailable):
        await place.pit.allocate_model("none")


async def test_all_models_of_a_workflow_are_allocated_those_in_bodies_too(
    place: Place, tmp_path: Path
) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text(FLOW.replace("OTHER", "other"))
    async with allocated(place.pit, WorkflowId(str(file))) as handles:
        assert [one.model for one in handles] == ["minilm", "other"]
        assert place.hot() in (None, {"minilm", "other"})
        assert place.kept() in (None, 2)
    await until(lambda: place.kept() in (None, 0), every_s=0.01)
    assert [one.model for one in await place.pit.allocate_model_for_workflow(flow(tmp_path, "far"))] == [
        "far"
    ]


async def test_an_unknown_workflow_is_an_error_of_its_own(place: Place) -> None:
    for unknown in ("none.yaml", "none-1", "", "a\0b"):
        with pytest.raises(WorkflowUnknown, match="there is no workflow"):
            await place.pit.allocate_model_for_workflow(WorkflowId(unknown))


async def test_more_models_than_the_pool_holds_are_refused_and_none_is_kept(
    place: Place, tmp_path: Path
) -> None:
    if place.hot() is None and place.symphony.home is None:
        pytest.skip("fakes need no memory")
    with pytest.raises(ModelUnavailable, match="cannot be loaded at the same time") as caught:
        await place.pit.allocate_model_for_workflow(flow(tmp_path, "minilm", "other", "third"))
    assert caught.value.code == "pool-too-small"
    assert "pool.memory_mb" in str(caught.value.hint)
    await until(lambda: place.kept() in (None, 0), every_s=0.01)


async def test_two_workflows_with_several_models_each_do_not_wait_for_each_other(
    place: Place, tmp_path: Path
) -> None:
    async def use(*models: str) -> None:
        async with allocated(place.pit, flow(tmp_path, *models)) as handles:
            assert len(handles) == 2

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        for models in (("minilm", "other"), ("third", "minilm"), ("other", "third")):
            tasks.create_task(use(*models))


async def test_whoever_stops_waiting_has_nothing(place: Place, tmp_path: Path) -> None:
    if place.symphony.home is None:
        pytest.skip("fakes need no memory: nobody waits")
    async with allocated(place.pit, flow(tmp_path, "minilm", "other")):
        waiting = asyncio.ensure_future(
            place.pit.allocate_model_for_workflow(flow(tmp_path, "minilm", "third"))
        )
        await until(lambda: place.kept() == 3, every_s=0.01)  # one of the two
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await until(lambda: place.kept() == 2, every_s=0.01)


async def test_a_document_and_the_short_form_are_run(place: Place) -> None:
    document = WorkflowDocument(body=FLOW.replace("OTHER", "minilm"))
    run = await place.pit.execute_workflow(document, {})
    spec = WorkflowSpec(
        name="Two steps",
        steps=(
            WorkflowStep(name="1st: make it", command="echo made"),
            WorkflowStep(name="use it!", command="echo used", needs=("1st: make it",)),
        ),
    )
    other = await place.pit.execute_workflow(spec, {})
    assert len({run, other}) == 2
    if place.symphony.home is not None:
        for one in (run, other):
            await until(lambda one=one: place.symphony.runs.status(one) == "succeeded", every_s=0.02)
        asked = await place.pit.allocate_model_for_workflow(WorkflowId(run))
        assert [handle.model for handle in asked] == ["minilm"]


async def test_what_is_no_workflow_begins_no_run(place: Place) -> None:
    with pytest.raises(SymphonyError) as caught:
        await place.pit.execute_workflow(WorkflowDocument(body="nodes: {a: {operator: none}}"), {})
    assert caught.value.code == "workflow-invalid"
    with pytest.raises(SymphonyError) as caught:
        await place.pit.execute_workflow(WorkflowSpec(name="none", steps=()), {})
    assert caught.value.code == "workflow-invalid"
    document = WorkflowDocument(body=FLOW.replace("OTHER", "minilm"))
    with pytest.raises(SymphonyError) as caught:
        await place.pit.execute_workflow(document, {"none": 1})
    assert caught.value.code == "input-invalid"


async def test_resources_are_granted_and_given_back(place: Place) -> None:
    def wanted(node: str) -> ResourceRequest:
        return ResourceRequest(run="r", node=node, resource="text.join", cores=1.0)

    first = await place.pit.acquire_resource(wanted("a"))
    second = asyncio.ensure_future(place.pit.acquire_resource(wanted("b")))
    done, _ = await asyncio.wait({second}, timeout=0.1)
    assert not done
    for _ in range(2):
        await place.pit.release_resource(first)
    await place.pit.release_resource(await second)


async def test_artifacts_are_stored_fetched_and_cleared(place: Place) -> None:
    named = await place.pit.store_artifact(b"kept", content_type="text/plain", name="report")
    await place.pit.store_artifact(b"kept more", content_type="text/plain", name="report")
    unnamed = await place.pit.store_artifact(b"")
    assert await place.pit.fetch_artifact("report@1") == b"kept"
    assert await place.pit.fetch_artifact("report") == b"kept more"
    assert await place.pit.fetch_artifact(unnamed.digest) == b""
    assert named.content_type == "text/plain"
    with pytest.raises(ArtifactMissing):
        await place.pit.fetch_artifact("none")
    clearing = await place.pit.clear_artifacts(dry_run=True)
    assert clearing.dry_run
    stays = {one.standing.digest for one in clearing.judged if one.verdict.stays}
    assert named.digest in stays


class Stored:
    """A store of workflows that knows one."""

    async def models_of(self, workflow_id: WorkflowId) -> Collection[str] | None:
        return {"minilm"} if workflow_id == "w1" else None


async def test_workflows_may_be_found_elsewhere(place: Place) -> None:
    pit = SymphonyPit(place.symphony, Stored())
    async with allocated(pit, WorkflowId("w1")) as handles:
        assert [one.model for one in handles] == ["minilm"]
    with pytest.raises(WorkflowUnknown):
        await pit.allocate_model_for_workflow(WorkflowId("w2"))


def test_names_of_steps_become_names_of_nodes() -> None:
    steps = [WorkflowStep(name=name, command="true") for name in ("a b", "a-b", "ü", "1", "x" * 200)]
    document = json.loads(document_of(WorkflowSpec(name="n", steps=tuple(steps))))
    assert [one["name"] for one in document["steps"]] == ["a-b", "a-b-2", "step", "step-1", "x" * 80]
