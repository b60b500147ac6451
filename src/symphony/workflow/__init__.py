"""Workflows: their model, files, validation, graph and expressions."""

from symphony.workflow import graph
from symphony.workflow.builder import WorkflowBuilder
from symphony.workflow.builtin import builtin_catalog
from symphony.workflow.catalog import Catalog, ModelInfo, OperatorInfo, Port
from symphony.workflow.files import (
    Reading,
    Resolver,
    WorkflowInvalid,
    WorkflowNotFound,
    check_file,
    dumps,
    load,
    loads,
    read,
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
from symphony.workflow.problems import Problem, ValidationReport
from symphony.workflow.validation import validate

__all__ = [
    "Catalog",
    "CommandNode",
    "ConditionalEdge",
    "ControlEdge",
    "ControlNode",
    "DataEdge",
    "InstrumentNode",
    "ModelInfo",
    "OperatorInfo",
    "OperatorNode",
    "Port",
    "Problem",
    "Reading",
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
    "validate",
]
