"""The names that a workflow may use: operators and models with their typed ports. Values only."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from symphony.ports.values import Value
from symphony.workflow.problems import Problem
from symphony.workflow.types import PortType


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """One input or output. An input without a default (`msgspec.UNSET`) must be given."""

    type: PortType
    default: Value | msgspec.UnsetType = msgspec.UNSET
    description: str = ""


class OperatorInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An operator as validation and people see it.

    `effect`: `pure` (a function of its inputs and of the content of its `path` inputs: may be
    cached, re-run at will), `read` (looks at the outside world, changes nothing), `write`
    (changes the outside world: its start is durable before it begins). `idempotent` tells
    whether a `write` may be repeated after a crash; `pure` and `read` always may.
    """

    name: str
    version: str
    inputs: Mapping[str, Port] = {}
    outputs: Mapping[str, Port] = {}
    effect: Literal["pure", "read", "write"] = "write"
    idempotent: bool = False
    summary: str = ""
    help: str = ""


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A model as validation and people see it."""

    id: str
    version: str
    inputs: Mapping[str, Port] = {}
    outputs: Mapping[str, Port] = {}
    summary: str = ""
    provider: str = "local"


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a workflow may name, by name. `keys`: variables that hold keys of models.

    `partial` names files that may define more operators than are known. `unread` means that a file of
    operators could not be read; the problem is reported where the workflow names the file.
    """

    operators: Mapping[str, OperatorInfo] = {}
    models: Mapping[str, ModelInfo] = {}
    keys: frozenset[str] = frozenset()
    partial: tuple[str, ...] = ()
    unread: bool = False

    def beside(self, own: "OwnOperators") -> "Catalog":
        """Return the catalogue of a workflow with operators of its own. Existing entries stay."""
        if own == OwnOperators():
            return self
        return msgspec.structs.replace(
            self,
            operators={**own.operators, **self.operators},
            partial=(*self.partial, *own.partial),
            unread=bool(own.problems),
        )


class OwnOperators(msgspec.Struct, frozen=True, kw_only=True):
    """The operators in the files that a workflow names under `operators`, and the problems of these files.

    `partial` names the files that may define more.
    """

    operators: Mapping[str, OperatorInfo] = {}
    problems: tuple[Problem, ...] = ()
    partial: tuple[str, ...] = ()
