"""The operators and models that ship with Symphony. Light to import: heavy libraries load in use."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from symphony.sdk import Operator
    from symphony.workflow.catalog import Catalog, ModelInfo

__all__ = ["catalog", "models", "operators"]

_MODULES = (
    "census", "code", "command", "copies", "data", "data_files", "debug", "documents", "fs", "git", "http",
    "issues", "junit", "pages", "profiling", "python", "rendering", "survey", "tables", "text", "vectors",
)  # fmt: skip
"""Those that define operators."""


@cache
def operators() -> "Mapping[str, Operator]":
    """Every operator of the kit, by name, in order of name."""
    from importlib import import_module

    from symphony.sdk import Operator

    modules = (import_module(f"symphony.kit.{name}") for name in _MODULES)
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Operator)]
    return MappingProxyType({one.info.name: one for one in sorted(found, key=lambda one: one.info.name)})


@cache
def models() -> "Mapping[str, ModelInfo]":
    """Every model of the kit, by id, in order of id."""
    from symphony.kit import instruments

    return MappingProxyType(dict(sorted(instruments.models().items())))


@cache
def catalog() -> "Catalog":
    """All that a workflow may name without loading anything else."""
    from symphony.workflow.catalog import Catalog

    return Catalog(operators={name: one.info for name, one in operators().items()}, models=dict(models()))
