"""What goes wrong with expressions, at validation and at run time."""

from symphony.commons.errors import SymphonyError
from symphony.workflow.problems import Code


class BadExpression(SymphonyError):
    """An expression that cannot be used; `problem_code` is the code validation reports."""

    code = "bad-expression"

    def __init__(self, message: str, *, problem_code: Code = "bad-expression", hint: str | None = None) -> None:
        super().__init__(message, code=problem_code, hint=hint)
        self.problem_code: Code = problem_code


class ExpressionFailed(SymphonyError):
    """An expression that was sound failed on the values it met."""

    code = "expression-failed"
