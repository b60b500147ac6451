"""The pit's seam: what the conductor and the API ask of the infrastructure in one process."""

from collections.abc import Collection, Mapping
from typing import Literal, NewType, Protocol

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.ports.arbiter import Grant, ResourceRequest
from symphony.ports.data import WorkflowId, WorkflowSpec
from symphony.ports.retention import Clearing
from symphony.ports.values import ArtifactRef, Value

RunId = NewType("RunId", str)
"""A run: a UUID of version 7, so that ids sort by the time of their start."""


class WorkflowUnknown(SymphonyError):
    """No workflow has this id."""

    code = "workflow-unknown"


class ModelHandle(msgspec.Struct, frozen=True, kw_only=True):
    """A warm model that stays so until it is released. `lease` tells two allocations apart."""

    model: str
    lease: str
    warmed_ms: float = 0.0
    """The time that it took to become ready; 0 if it already was."""


class WorkflowDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A whole workflow as text, in the workflow file format."""

    body: str
    format: Literal["yaml", "json", "toml"] = "yaml"


class WorkflowModels(Protocol):
    """Finds the models that the instruments of a workflow name."""

    async def models_of(self, workflow_id: WorkflowId) -> Collection[str] | None:
        """Return the models, those of graphs inside its nodes included; None for an unknown workflow."""
        ...


class PitPort(Protocol):
    """Models, runs, what is scarce, and artifacts."""

    async def allocate_model(self, model_id: str) -> ModelHandle:
        """Wait until the model is loaded; it stays so until `release_model`.

        An allocated model is nobody's own: runs go on asking it. Cancelling the task releases it. Raises
        ModelUnavailable.
        """
        ...

    async def allocate_model_for_workflow(self, workflow_id: WorkflowId) -> tuple[ModelHandle, ...]:
        """Wait until all models that the workflow's instruments name are loaded, and stay so together.

        None is allocated if that fails, or if the task is cancelled. Workflows get their models in the order
        in which they ask, so that no two wait for each other. Raises WorkflowUnknown, ModelUnavailable, and
        ModelUnavailable with the code `pool-too-small` if the pool cannot hold them together.
        """
        ...

    async def release_model(self, handle: ModelHandle) -> None:
        """Release the model; doing so twice does no harm."""
        ...

    async def execute_workflow(
        self, workflow: WorkflowSpec | WorkflowDocument, inputs: Mapping[str, Value]
    ) -> RunId:
        """Begin a run, durably, and return its id without waiting for its end.

        Raises SymphonyError with the code `workflow-invalid` or `input-invalid`.
        """
        ...

    async def acquire_resource(self, request: ResourceRequest) -> Grant:
        """Wait until the arbiter grants the request; cancelling the task gives it up.

        Raises ResourceRefused.
        """
        ...

    async def release_resource(self, grant: Grant) -> None:
        """Give back what was granted; doing so twice does no harm."""
        ...

    async def store_artifact(
        self, content: bytes, *, content_type: str = "application/octet-stream", name: str | None = None
    ) -> ArtifactRef:
        """Store an artifact, durably when this returns. The same content twice is one artifact.

        With a `name`, it is a new version of that name and stays. Without one, a clearing may move it to the
        trash unless a run refers to it.
        """
        ...

    async def fetch_artifact(self, digest_or_name: str) -> bytes:
        """Return the content of an artifact, verified. Raises ArtifactMissing, ArtifactCorrupt."""
        ...

    async def clear_artifacts(self, *, dry_run: bool = False) -> Clearing:
        """Move the artifacts that may go to the trash, and delete what was there for long enough."""
        ...
