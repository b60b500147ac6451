"""The error that a resolver of sub-workflows may raise."""

from symphony.commons.errors import SymphonyError


class WorkflowRecursive(SymphonyError):
    """A reference to a sub-workflow leads back to a file that contains it."""

    code = "cycle"
