"""The pit of one Symphony as the conductor and the API see it: `ports.pit.PitPort`."""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from symphony.app.models import AllModels
from symphony.app.pit_health import pit_health
from symphony.commons.components import HealthStatus
from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.engine.models_ahead import models_of
from symphony.pit.tracker.store.finding import RunNotFound
from symphony.ports.arbiter import Grant, ResourceRequest
from symphony.ports.data import WorkflowId, WorkflowSpec
from symphony.ports.pit import (
    ModelHandle,
    PitPort,
    RunId,
    WorkflowDocument,
    WorkflowModels,
    WorkflowUnknown,
)
from symphony.ports.retention import Clearing
from symphony.ports.values import ArtifactRef, Value
from symphony.workflow.model import ControlNode, InstrumentNode, SubWorkflowNode
from symphony.workflow.nesting import Nested

if TYPE_CHECKING:
    from symphony.app.symphony import Symphony
    from symphony.pit.pool.keeping import KeptModel

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")
_NAME_MAX = 80


class SymphonyPit:
    """`symphony.ports.pit.PitPort`, and an `AsyncComponent`, over an open Symphony.

    What is allocated is released by `stop`, and at the end of the Symphony.

    Example: `await SymphonyPit(symphony).allocate_model_for_workflow(WorkflowId("report.yaml"))`
    """

    def __init__(self, symphony: "Symphony", workflows: WorkflowModels | None = None) -> None:
        """`workflows` knows the workflows by their ids; without it, see `HomeWorkflows`."""
        self._symphony, self._parts = symphony, symphony.parts
        self._workflows = workflows or HomeWorkflows(symphony)
        self._kept: dict[str, KeptModel] = {}
        self._given = 0

    async def start(self) -> None:
        """Nothing: the parts begin with their first use."""

    async def stop(self) -> None:
        """Release all models. The Symphony ends its parts itself."""
        for kept in list(self._kept.values()):
            kept.release()
        self._kept.clear()

    async def health_check(self) -> HealthStatus:
        """Return how the pool, the arbiter, the budgets, the artifacts and retention are."""
        return await pit_health(self._symphony)

    # Models.

    async def allocate_model(self, model_id: str) -> ModelHandle:
        """Wait until the model is loaded; see `PitPort`."""
        (handle,) = await self._allocate([model_id])
        return handle

    async def allocate_model_for_workflow(self, workflow_id: WorkflowId) -> tuple[ModelHandle, ...]:
        """Wait until all models of the workflow are loaded; see `PitPort`."""
        models = await self._workflows.models_of(workflow_id)
        if models is None:
            raise WorkflowUnknown(
                f"there is no workflow {workflow_id!r}", hint="name a workflow file, or a run of the workflow"
            )
        return await self._allocate(models)

    async def release_model(self, handle: ModelHandle) -> None:
        """Release the model."""
        kept = self._kept.pop(handle.lease, None)
        if kept is not None:
            kept.release()

    async def _allocate(self, models: Collection[str]) -> tuple[ModelHandle, ...]:
        found = self._parts.models
        local = found.local_among(models) if isinstance(found, AllModels) else frozenset[str]()
        handles: list[ModelHandle] = []
        for model in sorted(set(models) - local):  # they need no memory here, and are always ready
            found.fingerprint(model)
            self._given += 1
            handles.append(ModelHandle(model=model, lease=f"remote.{self._given}"))
        if local:
            assert isinstance(found, AllModels)
            for kept in await found.keep(local):
                self._kept[kept.handle.lease] = kept
                handles.append(kept.handle)
        return tuple(sorted(handles, key=lambda handle: handle.model))

    # Runs.

    async def execute_workflow(
        self, workflow: WorkflowSpec | WorkflowDocument, inputs: Mapping[str, Value]
    ) -> RunId:
        """Begin a run; it goes on while the Symphony is open, and can be resumed afterwards."""
        if isinstance(workflow, WorkflowSpec):
            workflow = WorkflowDocument(body=document_of(workflow), format="json")
        name = Path(f"workflow.{workflow.format}")
        prepared = await asyncio.to_thread(
            self._symphony.prepare, name, load=True, body=workflow.body.encode("utf-8", "surrogatepass")
        )
        handle = await self._symphony.start(prepared, inputs)
        return RunId(handle.run_id)

    # What is scarce.

    async def acquire_resource(self, request: ResourceRequest) -> Grant:
        """Wait for a grant of the arbiter of the home."""
        arbiter = self._parts.arbiter
        return arbiter.try_acquire(request) or await arbiter.acquire(request)

    async def release_resource(self, grant: Grant) -> None:
        """Give it back."""
        self._parts.arbiter.release(grant)

    # Artifacts.

    async def store_artifact(
        self, content: bytes, *, content_type: str = "application/octet-stream", name: str | None = None
    ) -> ArtifactRef:
        """Store an artifact, durably when this returns."""
        store = self._symphony.artifacts
        return await asyncio.to_thread(store.put, content, content_type=content_type, name=name)

    async def fetch_artifact(self, digest_or_name: str) -> bytes:
        """Return the content of an artifact."""
        store = self._symphony.artifacts
        return await asyncio.to_thread(lambda: store.get(store.find(digest_or_name).digest))

    async def clear_artifacts(self, *, dry_run: bool = False) -> Clearing:
        """Do what `symphony artifacts gc` does."""
        return await asyncio.to_thread(self._symphony.clear, dry_run=dry_run)


class HomeWorkflows:
    """`symphony.ports.pit.WorkflowModels` without a store of workflows.

    An id is the path of a workflow file, or names a run as `symphony runs show` takes it: then it is the
    workflow that the run was begun with.
    """

    def __init__(self, symphony: "Symphony") -> None:
        self._symphony = symphony

    async def models_of(self, workflow_id: WorkflowId) -> Collection[str] | None:
        """Return the models that it names. Raises WorkflowInvalid for a file with something else."""
        return await asyncio.to_thread(self._models_of, workflow_id)

    def _models_of(self, workflow_id: WorkflowId) -> Collection[str] | None:
        if "\0" not in workflow_id and Path(workflow_id).is_file():
            graph = self._symphony.prepare(Path(workflow_id)).graph
            return frozenset[str]().union(*models_of(graph).values())
        try:
            return instruments_of(self._symphony.recorded(workflow_id))
        except RunNotFound:
            return None
        except SymphonyError as error:
            if error.code == "no-home":
                return None
            raise


def instruments_of(nested: Nested) -> frozenset[str]:
    """Return the models that a workflow names, in the graphs inside its nodes, too."""
    found: set[str] = set()
    open_paths = [""]
    while open_paths:
        path = open_paths.pop()
        inside = nested.inside(path)
        for name, node in ({} if inside is None else inside.nodes).items():
            if isinstance(node, InstrumentNode):
                found.add(node.instrument.partition("@")[0])
            elif isinstance(node, ControlNode | SubWorkflowNode):
                open_paths.append(f"{path}.{name}" if path else name)
    return frozenset(found)


def document_of(spec: WorkflowSpec) -> str:
    """Return the API's short form of a workflow as a document. Steps get names that the format allows."""
    names: dict[str, str] = {}
    for number, step in enumerate(spec.steps, start=1):
        plain = _NOT_IN_NAMES.sub("-", step.name).strip("-")[:_NAME_MAX] or "step"
        plain = plain if plain[0].isalpha() or plain[0] == "_" else f"step-{plain}"
        names[step.name] = plain if plain not in names.values() else f"{plain}-{number}"
    steps = [
        {
            "name": names[step.name],
            "command": step.command,
            **({"needs": [names.get(one, one) for one in step.needs]} if step.needs else {}),
        }
        for step in spec.steps
    ]
    return msgspec.json.encode({"symphony": 1, "name": spec.name, "steps": steps}).decode()


@asynccontextmanager
async def allocated(pit: PitPort, workflow_id: WorkflowId) -> AsyncIterator[tuple[ModelHandle, ...]]:
    """Have all models of a workflow loaded for as long as the block lasts."""
    handles = await pit.allocate_model_for_workflow(workflow_id)
    try:
        yield handles
    finally:
        for handle in handles:
            await pit.release_model(handle)
