"""Workflows: their model, files, validation, graph and expressions. Everything is loaded on first use."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from symphony.workflow import graph
    from symphony.workflow.builder import WorkflowBuilder
    from symphony.workflow.builtin import builtin_catalog
    from symphony.workflow.catalog import Catalog, ModelInfo, OperatorInfo, Port
    from symphony.workflow.document_reading import DocumentReading
    from symphony.workflow.files import (
        Resolver,
        WorkflowNotFound,
        check_file,
        dumps,
        load,
        loads,
        read,
        resolver_for,
    )
    from symphony.workflow.model import (
        CommandNode,
        ConditionalEdge,
        ControlEdge,
        ControlNode,
        DataEdge,
        InstrumentNode,
        OperatorNode,
        SubWorkflowNode,
        Workflow,
    )
    from symphony.workflow.problems import Problem, ValidationReport, WorkflowInvalid
    from symphony.workflow.validation import validate

__all__ = [
    "Catalog",
    "CommandNode",
    "ConditionalEdge",
    "ControlEdge",
    "ControlNode",
    "DataEdge",
    "DocumentReading",
    "InstrumentNode",
    "ModelInfo",
    "OperatorInfo",
    "OperatorNode",
    "Port",
    "Problem",
    "Resolver",
    "SubWorkflowNode",
    "ValidationReport",
    "Workflow",
    "WorkflowBuilder",
    "WorkflowInvalid",
    "WorkflowNotFound",
    "builtin_catalog",
    "check_file",
    "dumps",
    "graph",
    "load",
    "loads",
    "read",
    "resolver_for",
    "validate",
]

_HOMES = {
    "builder": ("WorkflowBuilder",),
    "builtin": ("builtin_catalog",),
    "catalog": ("Catalog", "ModelInfo", "OperatorInfo", "Port"),
    "document_reading": ("DocumentReading",),
    "files": (
        "Resolver", "WorkflowNotFound", "check_file", "dumps",
        "load", "loads", "read", "resolver_for",
    ),
    "model": (
        "CommandNode", "ConditionalEdge", "ControlEdge", "ControlNode", "DataEdge", "InstrumentNode",
        "OperatorNode", "SubWorkflowNode", "Workflow",
    ),
    "problems": ("Problem", "ValidationReport", "WorkflowInvalid"),
    "validation": ("validate",),
}  # fmt: skip
_HOME = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name == "graph":
        return import_module("symphony.workflow.graph")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = found
    return found
