import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import Protocol

import msgspec
import pytest

import symphony.ports
from symphony.commons.errors import SymphonyError
from symphony.commons.prevalidation import all_of, field, filled, length
from symphony.ports.conductor import ConductorPort, ConductorState, ConductorStatus
from symphony.ports.data import (
    CreateUserRequest,
    CreateWorkflowRequest,
    DataAccessPort,
    ProjectId,
    StoredWorkflow,
    User,
    UserId,
    UserTier,
    WorkflowId,
    WorkflowSpec,
    WorkflowStep,
)
from symphony.ports.editing import BufferId, EditInvalid, TextEdit, TextEditingPort
from symphony.ports.extensions import ExtensionManifest
from symphony.ports.prevalidation import PreValidationFailed, PreValidationPort
from symphony.ports.runs import NodeResult, RunResult, RunStatus
from symphony.testing.outcome import Outcome

MODULES = [
    importlib.import_module(f"symphony.ports.{module.name}")
    for module in pkgutil.iter_modules(symphony.ports.__path__)
]
VALUES = [
    kind
    for module in MODULES
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, msgspec.Struct) and kind.__module__ == module.__name__
]
ERRORS = {
    kind
    for module in MODULES
    for _, kind in inspect.getmembers(module, inspect.isclass)
    if issubclass(kind, SymphonyError)
}


@pytest.mark.parametrize("kind", VALUES, ids=lambda kind: kind.__name__)
def test_every_value_of_a_port_is_frozen_and_documented(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_config__.frozen
    assert kind.__doc__


def test_every_error_of_the_ports_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in ERRORS]
    assert len(codes) == len(set(codes))


def test_every_seam_holds_a_protocol_whose_methods_are_documented() -> None:
    seams = [
        kind
        for module in MODULES
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if Protocol in kind.__bases__ and kind.__name__.endswith("Port")
    ]
    assert sorted(kind.__name__ for kind in seams) == [
        "ConductorPort", "DataAccessPort", "ExtensionPort", "PitPort", "PreValidationPort", "TextEditingPort",
    ]  # fmt: skip
    for kind in seams:
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            assert name.startswith("_") or method.__doc__, f"{kind.__name__}.{name}"


class MemoryEditor:
    """A TextEditingPort, small enough to show that the seam can be filled."""

    def __init__(self) -> None:
        self.bodies: dict[BufferId, bytes] = {}

    async def open_file(self, path: Path) -> BufferId:
        buffer_id = BufferId(f"view-id-{len(self.bodies) + 1}")
        self.bodies[buffer_id] = b""
        return buffer_id

    async def edit_text(self, buffer_id: BufferId, edit: TextEdit) -> int:
        body = self.bodies[buffer_id]
        if not 0 <= edit.start <= edit.end <= len(body):
            raise EditInvalid(f"{edit.start} to {edit.end} is outside of {len(body)} bytes")
        self.bodies[buffer_id] = body[: edit.start] + edit.text.encode() + body[edit.end :]
        return 1

    async def get_buffer_content(self, buffer_id: BufferId) -> str:
        return self.bodies[buffer_id].decode()


async def test_the_editing_seam_counts_bytes() -> None:
    editor: TextEditingPort = MemoryEditor()
    buffer_id = await editor.open_file(Path("a"))
    await editor.edit_text(buffer_id, TextEdit(start=0, end=0, text="grün"))
    await editor.edit_text(buffer_id, TextEdit(start=2, end=4, text="u"))
    assert await editor.get_buffer_content(buffer_id) == "grun"
    with pytest.raises(EditInvalid):
        await editor.edit_text(buffer_id, TextEdit(start=0, end=9, text=""))


class Checks:
    """A PreValidationPort made of rules."""

    workflow = field(
        "spec", all_of(field("name", all_of(filled, length(0, 99))), field("steps", length(1, 9)))
    )

    def validate_workflow_request(self, request: CreateWorkflowRequest) -> None:
        self.workflow.validate(request)

    def validate_user_request(self, request: CreateUserRequest) -> None:
        if "@" not in request.email:
            raise PreValidationFailed("email has no @", details={"field": "email"})

    def validate_extension_manifest(self, path: Path) -> None:
        if not path.is_file():
            raise PreValidationFailed(f"there is no file {path}")


class MemoryData:
    """A DataAccessPort in memory."""

    def __init__(self, checks: PreValidationPort) -> None:
        self.checks = checks
        self.workflows: dict[WorkflowId, StoredWorkflow] = {}
        self.users: dict[UserId, User] = {}

    async def create_workflow(self, request: CreateWorkflowRequest) -> StoredWorkflow:
        self.checks.validate_workflow_request(request)
        stored = StoredWorkflow(
            id=WorkflowId(f"w{len(self.workflows)}"),
            spec=request.spec,
            owner_id=request.user_id,
            project_id=request.project_id,
            created_at="2026-01-01T00:00:00Z",
        )
        return self.workflows.setdefault(stored.id, stored)

    async def get_workflow(self, workflow_id: WorkflowId) -> StoredWorkflow | None:
        return self.workflows.get(workflow_id)

    async def create_user(self, request: CreateUserRequest) -> User:
        self.checks.validate_user_request(request)
        user = User(id=UserId(f"u{len(self.users)}"), email=request.email, name=request.name)
        return self.users.setdefault(user.id, user)

    async def get_user(self, user_id: UserId) -> User | None:
        return self.users.get(user_id)


async def test_the_data_seam_can_be_filled_with_rules_before_it() -> None:
    data: DataAccessPort = MemoryData(Checks())
    user = await data.create_user(CreateUserRequest(email="a@example.com", name="A"))
    assert user.tier is UserTier.FREE
    spec = WorkflowSpec(name="build", steps=(WorkflowStep(name="one", command="true"),))
    stored = await data.create_workflow(
        CreateWorkflowRequest(spec=spec, user_id=user.id, project_id=ProjectId("p"))
    )
    assert await data.get_workflow(stored.id) == stored
    assert await data.get_workflow(WorkflowId("none")) is None
    with pytest.raises(PreValidationFailed, match="no @"):
        await data.create_user(CreateUserRequest(email="a", name="A"))


class Conductor:
    async def orchestrate(self, request: object) -> object:
        raise AssertionError("not asked")

    async def get_status(self) -> ConductorStatus:
        return ConductorStatus(state=ConductorState.READY)


async def test_the_conductor_says_how_it_is() -> None:
    conductor: ConductorPort = Conductor()  # type: ignore[assignment]
    assert (await conductor.get_status()).state == "ready"


def test_the_manifest_of_the_design_is_a_manifest() -> None:
    manifest = msgspec.toml.decode(
        """
        [extension]
        name = "gpt-4-instrument"
        version = "1.0.0"
        type = "instrument"
        [capabilities]
        network_access = ["api.example.com"]
        file_access = ["read:config", "write:cache"]
        [dependencies]
        symphony-core = "^1.0"
        [resources]
        memory_limit = "2GB"
        [configuration]
        api_key = { type = "string", required = true, secret = true }
        temperature = { type = "float", default = 0.7, min = 0.0, max = 2.0 }
        """,
        type=ExtensionManifest,
    )
    assert manifest.configuration["api_key"].secret
    assert manifest.resources.memory_limit == "2GB"


def test_a_result_is_spelled_in_a_few_words_however_much_the_run_gave() -> None:
    given = {f"port{i}": ["text" * 100] * 100 for i in range(100)}

    class Unmade(dict[str, NodeResult]):
        """Nodes that nobody may look at."""

        def __repr__(self) -> str:
            raise AssertionError

        __len__ = __iter__ = __repr__  # type: ignore[assignment]

    result = RunResult(run_id="run-1", status=RunStatus.SUCCEEDED, outputs=given, nodes=Unmade())
    assert repr(result) == "<run run-1 succeeded: 100 outputs>"
    outcome = Outcome(result=result, outputs=given, events=(), elapsed_s=0.0)
    assert repr(outcome) == "<outcome of <run run-1 succeeded: 100 outputs>>"
