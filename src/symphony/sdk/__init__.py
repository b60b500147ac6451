"""All that the author of an operator imports. Light to import."""

from symphony.sdk.annotations import Artifact, Embedding, Json
from symphony.sdk.bounds import Bounds
from symphony.sdk.context import Context, LogSink
from symphony.sdk.errors import OperatorInvalid, OperatorsNotLoaded
from symphony.sdk.languages import Cel, Glob, JmesPath, Regex, Template, TemplateFile
from symphony.sdk.loading import load_operators
from symphony.sdk.operators import DecoratedOperator, Operator, Reads, operator

__all__ = [
    "Artifact",
    "Bounds",
    "Cel",
    "Context",
    "DecoratedOperator",
    "Embedding",
    "Glob",
    "JmesPath",
    "Json",
    "LogSink",
    "Operator",
    "OperatorInvalid",
    "OperatorsNotLoaded",
    "Reads",
    "Regex",
    "Template",
    "TemplateFile",
    "load_operators",
    "operator",
]
