"""The operators and models that ship with Symphony. Importing this is cheap: heavy libraries load on use."""

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from symphony.sdk import Operator
    from symphony.workflow.catalog import Catalog, ModelInfo

__all__ = ["catalog", "models", "operators"]


@cache
def operators() -> "Mapping[str, Operator]":
    """Return every operator of the kit by name, sorted by name."""
    from symphony.kit.homes import KitOperators

    return KitOperators()


@cache
def models() -> "Mapping[str, ModelInfo]":
    """Return every model of the kit by id, sorted by id."""
    from symphony.kit import instruments

    return MappingProxyType(dict(sorted(instruments.models().items())))


@cache
def catalog() -> "Catalog":
    """Everything that a workflow may name without loading anything else."""
    from symphony.workflow.catalog import Catalog

    return Catalog(operators={name: one.info for name, one in operators().items()}, models=dict(models()))
