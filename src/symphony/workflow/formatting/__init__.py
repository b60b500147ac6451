"""Workflow files in their canonical layout: keys in order, two spaces a level, comments kept. Pure."""

from symphony.workflow.formatting.formatting import CannotFormat, formatted

__all__ = ["CannotFormat", "formatted"]
