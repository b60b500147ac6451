"""What goes wrong when operators are defined or loaded."""

from symphony.commons.errors import SymphonyError


class OperatorInvalid(SymphonyError):
    """A function cannot become an operator; the message names the function and the parameter."""

    code = "operator-invalid"


class OperatorsNotLoaded(SymphonyError):
    """A file of operators is missing, broken or holds none; the message names file and line."""

    code = "operators-not-loaded"
