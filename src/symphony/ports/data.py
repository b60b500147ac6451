"""The data seam: workflows and users behind an API that decides who may do what.

The caller sends one request for each operation; permissions, business rules and constraints
are checked on the other side, which alone knows them.
"""

from enum import StrEnum
from typing import NewType, Protocol

import msgspec

from symphony.commons.errors import SymphonyError

WorkflowId = NewType("WorkflowId", str)
UserId = NewType("UserId", str)
ProjectId = NewType("ProjectId", str)


class WorkflowStep(msgspec.Struct, frozen=True, kw_only=True):
    """One shell command. It begins when the steps in `needs` have succeeded."""

    name: str
    command: str
    needs: tuple[str, ...] = ()


class WorkflowSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The API's short form of a workflow; names are free text.

    If no step has `needs`, each needs the one before.
    """

    name: str
    steps: tuple[WorkflowStep, ...]
    estimated_duration_s: float | None = None


class CreateWorkflowRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow to be kept in a project. `estimated_cost` is in US dollars."""

    spec: WorkflowSpec
    user_id: UserId
    project_id: ProjectId
    estimated_cost: float | None = None


class StoredWorkflow(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow as it is kept. `created_at` is ISO 8601, UTC."""

    id: WorkflowId
    spec: WorkflowSpec
    owner_id: UserId
    project_id: ProjectId
    created_at: str
    estimated_cost: float | None = None
    is_shared: bool = False


class UserTier(StrEnum):
    """The plan that a user pays for. The other side derives limits from it."""

    FREE = "free"
    PRO = "pro"
    ENTERPRISE = "enterprise"


class CreateUserRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to create a user."""

    email: str
    name: str


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user as stored."""

    id: UserId
    email: str
    name: str
    tier: UserTier = UserTier.FREE
    roles: tuple[str, ...] = ()


class DataError(SymphonyError):
    """The root of errors from data access. Its subclasses tell who must act."""

    code = "data-failed"


class RequestRejected(DataError):
    """The other side found the request wrong: rules, limits or constraints (HTTP 400, 409, 422)."""

    code = "request-rejected"


class NotAuthorized(DataError):
    """Nobody is signed in, or they may not do this (HTTP 401, 403)."""

    code = "not-authorized"


class NotFound(DataError):
    """The target of the request does not exist, or is hidden from this user (HTTP 404)."""

    code = "not-found"


class DataUnreachable(DataError):
    """No answer in time, also after the retries. Whether a change took effect is not known."""

    code = "data-unreachable"


class DataServerFailed(DataError):
    """The other side failed (HTTP 5xx), or answered what cannot be understood."""

    code = "data-server-failed"


class OperationNotSupported(DataError):
    """This data source cannot do that; the hint names one that can."""

    code = "operation-not-supported"


class DataAccessPort(Protocol):
    """Access to workflows and users: over HTTP, in the local database, or in memory for tests. All
    methods raise DataError.
    """

    async def create_workflow(self, request: CreateWorkflowRequest) -> StoredWorkflow:
        """Keep a workflow. Raises RequestRejected, NotAuthorized, NotFound (the project)."""
        ...

    async def get_workflow(self, workflow_id: WorkflowId) -> StoredWorkflow | None:
        """Return the workflow, or None if this user may not see one of that id."""
        ...

    async def create_user(self, request: CreateUserRequest) -> User:
        """Make a user. Raises RequestRejected (the address is taken), NotAuthorized."""
        ...

    async def get_user(self, user_id: UserId) -> User | None:
        """Return the user, or None if the caller may not see one of that id."""
        ...
