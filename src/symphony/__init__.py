"""Symphony: typed workflows of models, tools and shell steps that survive a kill at any moment.

Everything here is loaded when it is first used: `import symphony` costs next to nothing.

    from symphony import run

    result = run("workflow.yaml", inputs={"path": "."})
    print(result.status, result.outputs)
"""

TYPE_CHECKING = False  # as type checkers know it, without the import of `typing`

if TYPE_CHECKING:
    from symphony.app import InputInvalid, Progress, RunHandle, Symphony, run
    from symphony.commons.errors import SymphonyError
    from symphony.commons.version import __version__
    from symphony.ports.runs import (
        NodeResult,
        NodeStatus,
        RunError,
        RunEvent,
        RunResult,
        RunStatus,
        RunSummary,
    )
    from symphony.ports.values import ArtifactRef
    from symphony.sdk import Artifact, Context, Embedding, Operator, load_operators, operator
    from symphony.workflow import (
        Workflow,
        WorkflowBuilder,
        WorkflowInvalid,
        dumps,
        load,
        loads,
        validate,
    )

__all__ = [
    "Artifact",
    "ArtifactRef",
    "Context",
    "Embedding",
    "InputInvalid",
    "NodeResult",
    "NodeStatus",
    "Operator",
    "Progress",
    "RunError",
    "RunEvent",
    "RunHandle",
    "RunResult",
    "RunStatus",
    "RunSummary",
    "Symphony",
    "SymphonyError",
    "Workflow",
    "WorkflowBuilder",
    "WorkflowInvalid",
    "__version__",
    "dumps",
    "load",
    "load_operators",
    "loads",
    "operator",
    "run",
    "validate",
]

_HOMES = {
    "Artifact": "symphony.sdk",
    "ArtifactRef": "symphony.ports.values",
    "Context": "symphony.sdk",
    "Embedding": "symphony.sdk",
    "InputInvalid": "symphony.app",
    "NodeResult": "symphony.ports.runs",
    "NodeStatus": "symphony.ports.runs",
    "Operator": "symphony.sdk",
    "Progress": "symphony.app",
    "RunError": "symphony.ports.runs",
    "RunEvent": "symphony.ports.runs",
    "RunHandle": "symphony.app",
    "RunResult": "symphony.ports.runs",
    "RunStatus": "symphony.ports.runs",
    "RunSummary": "symphony.ports.runs",
    "Symphony": "symphony.app",
    "SymphonyError": "symphony.commons.errors",
    "Workflow": "symphony.workflow",
    "WorkflowBuilder": "symphony.workflow",
    "WorkflowInvalid": "symphony.workflow",
    "__version__": "symphony.commons.version",
    "dumps": "symphony.workflow",
    "load": "symphony.workflow",
    "load_operators": "symphony.sdk",
    "loads": "symphony.workflow",
    "operator": "symphony.sdk",
    "run": "symphony.app",
    "validate": "symphony.workflow",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
