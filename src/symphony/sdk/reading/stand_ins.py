"""Operators that are known from the text of their file, in place of those that running it would define."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FunctionType

from symphony.ports.values import Value
from symphony.sdk.context import Context
from symphony.sdk.errors import OperatorsNotLoaded
from symphony.sdk.fingerprints import remember
from symphony.sdk.loading import module_name
from symphony.sdk.operators import Operator
from symphony.sdk.reading.module import OperatorRead
from symphony.workflow.catalog import OperatorInfo


def stand_in(read: OperatorRead, file: Path, source: bytes) -> Operator:
    """Return an operator to plan with: its ports, effect and code are known, and it cannot be called.

    Its function lies in the file and does nothing but raise OperatorsNotLoaded. So the digest of its
    code is that of the operator to come, and results that are kept are found.
    """
    name = module_name(file, source)
    remember(name, source)
    code = _not_run.__code__.replace(co_filename=str(file))
    function = FunctionType(code, {"__name__": name, "OperatorsNotLoaded": OperatorsNotLoaded})
    function.__module__, function.__qualname__ = name, read.function
    return Operator(
        info=read.info,
        function=function,
        style=read.style,
        context_name=read.context_name,
        single_output=len(read.info.outputs) == 1,
        reads=_unread if read.reads else None,
    )


def unknown_stand_in(name: str) -> Operator:
    """Return a stand-in for an operator of which only the name is known."""
    info = OperatorInfo(name=name, version="")
    return Operator(info=info, function=_not_run, style="thread", single_output=False)


def _unread(_inputs: Mapping[str, Value], _context: Context) -> str | None:
    """Stand for what only the operator itself could tell."""
    return None


def _not_run(**_inputs: object) -> object:
    raise OperatorsNotLoaded("the file of this operator was read, not run")


class Open(Mapping[str, Operator]):
    """Operators by name, where any other name may be an operator, too."""

    def __init__(self, known: Mapping[str, Operator]) -> None:
        self._known = known

    def __getitem__(self, name: str) -> Operator:
        return self._known[name] if name in self._known else unknown_stand_in(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)
