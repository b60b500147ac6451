"""Finds, types and evaluates expressions: `${{ … }}` in values, and CEL in conditions."""

from symphony.workflow.expressions.compiler import (
    Compiler,
    Splitter,
    ValueTemplate,
    as_text,
    type_of,
)
from symphony.workflow.expressions.errors import BadExpression, ExpressionFailed
from symphony.workflow.expressions.evaluation import Lookup
from symphony.workflow.expressions.scan import LENGTH_MAX, Read, reference_in, scan
from symphony.workflow.expressions.splitting import bare, condition_reads, split, value_reads

__all__ = [
    "LENGTH_MAX",
    "BadExpression",
    "Compiler",
    "ExpressionFailed",
    "Lookup",
    "Read",
    "Splitter",
    "ValueTemplate",
    "as_text",
    "bare",
    "condition_reads",
    "reference_in",
    "scan",
    "split",
    "type_of",
    "value_reads",
]
