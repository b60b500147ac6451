"""Errors in defining or loading operators."""

from symphony.commons.errors import SymphonyError


class OperatorInvalid(SymphonyError):
    """A function cannot become an operator; the message names the function and the parameter."""

    code = "operator-invalid"


class OperatorsNotLoaded(SymphonyError):
    """A file of operators is missing or broken, or defines no operator; the message names file and line."""

    code = "operators-not-loaded"
