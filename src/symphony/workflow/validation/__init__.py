"""Semantic validation: whether a workflow that could be read also makes sense."""

from symphony.workflow.validation.checking import Checked, check, validate
from symphony.workflow.validation.children import Resolve
from symphony.workflow.validation.errors import WorkflowRecursive
from symphony.workflow.validation.scope import Scope, node_ports, port_types

__all__ = [
    "Checked",
    "Resolve",
    "Scope",
    "WorkflowRecursive",
    "check",
    "node_ports",
    "port_types",
    "validate",
]
