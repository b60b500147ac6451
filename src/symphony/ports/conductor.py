"""The conductor's seam: a request in words becomes a workflow and a run."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.ports.data import ProjectId, UserId, WorkflowId
from symphony.ports.pit import RunId
from symphony.ports.values import Value


class OrchestrationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request in words. With `run` false, the workflow is made and kept but not started."""

    prompt: str
    user_id: UserId
    project_id: ProjectId
    inputs: Mapping[str, Value] = {}
    run: bool = True


class OrchestrationResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a request. `explanation` says in words why this workflow was made."""

    workflow_id: WorkflowId
    run_id: RunId | None = None
    explanation: str = ""


class ConductorState(StrEnum):
    """The state of the conductor. If `unavailable`, it answers no requests now, and
    `ConductorStatus.detail` says why.
    """

    READY = "ready"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"


class ConductorStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of the conductor."""

    state: ConductorState
    active_requests: int = 0
    model: str | None = None
    detail: str = ""


class RequestNotUnderstood(SymphonyError):
    """No workflow could be made of the prompt; the hint says what would help."""

    code = "request-not-understood"


class ConductorUnavailable(SymphonyError):
    """The conductor, or the model that it plans with, does not answer."""

    code = "conductor-unavailable"


class ConductorPort(Protocol):
    """Plans workflows and starts them."""

    async def orchestrate(self, request: OrchestrationRequest) -> OrchestrationResult:
        """Make a workflow of the request and start it.

        Raises RequestNotUnderstood, ConductorUnavailable, and what the data access raises.
        """
        ...

    async def get_status(self) -> ConductorStatus:
        """Return the status. Answers at once and does not raise."""
        ...
