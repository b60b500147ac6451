"""Texts as plain trees, and trees as texts. Each format has a module of its own behind one interface."""

from symphony.workflow.documents.compression import packed
from symphony.workflow.documents.formats import (
    FORMATS,
    Format,
    UnknownFormat,
    format_named,
    format_of,
    format_of_content,
    format_of_file,
    parse,
)
from symphony.workflow.documents.tree import BYTES_MAX, DEPTH_MAX, Document, Position, Positions, Tree

__all__ = [
    "BYTES_MAX",
    "DEPTH_MAX",
    "FORMATS",
    "Document",
    "Format",
    "Position",
    "Positions",
    "Tree",
    "UnknownFormat",
    "format_named",
    "format_of",
    "format_of_content",
    "format_of_file",
    "packed",
    "parse",
]
