"""Symphony: typed workflows of models, tools and shell steps that survive a kill at any moment.

Everything here is loaded when it is first used: `import symphony` costs next to nothing.

    from symphony import run

    result = run("workflow.yaml", inputs={"path": "."})
    print(result.status, result.outputs)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from symphony.app import RunHandle, Symphony, run
    from symphony.commons.errors import SymphonyError
    from symphony.ports.runs import RunResult
    from symphony.sdk import Context, operator
    from symphony.workflow import Workflow, WorkflowBuilder, dumps, load, loads, validate

__version__ = "0.1.0"

__all__ = [
    "Context",
    "RunHandle",
    "RunResult",
    "Symphony",
    "SymphonyError",
    "Workflow",
    "WorkflowBuilder",
    "__version__",
    "dumps",
    "load",
    "loads",
    "operator",
    "run",
    "validate",
]

_HOMES = {
    "Context": "symphony.sdk",
    "RunHandle": "symphony.app",
    "RunResult": "symphony.ports.runs",
    "Symphony": "symphony.app",
    "SymphonyError": "symphony.commons.errors",
    "Workflow": "symphony.workflow",
    "WorkflowBuilder": "symphony.workflow",
    "dumps": "symphony.workflow",
    "load": "symphony.workflow",
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
