"""The pit's seam: what the conductor and the API ask of the infrastructure in one process."""

from collections.abc import Mapping
from typing import Literal, NewType, Protocol

import msgspec

from symphony.ports.data import WorkflowSpec
from symphony.ports.values import ArtifactRef, Value

RunId = NewType("RunId", str)
"""A run: a UUID of version 7, so that ids sort by the time of their start."""


class ModelHandle(msgspec.Struct, frozen=True, kw_only=True):
    """A warm model that is yours until released. `lease` tells two allocations apart."""

    model: str
    lease: str
    warmed_ms: float = 0.0
    """The time that it took to become ready; 0 if it already was."""


class WorkflowDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A whole workflow as text, in the workflow file format."""

    body: str
    format: Literal["yaml", "json", "toml"] = "yaml"


class PitPort(Protocol):
    """Models, runs and artifacts."""

    async def allocate_model(self, model_id: str) -> ModelHandle:
        """Wait until the model is warm and free. Raises ModelUnavailable."""
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

    async def store_artifact(self, content: bytes) -> ArtifactRef:
        """Store an artifact, durably when this returns. The same content twice is one artifact."""
        ...
