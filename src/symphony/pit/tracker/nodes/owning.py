"""Copies lists and maps for operators, so that no one else sees what one changes in its inputs. Pure.

Values are shared between the nodes that read them, the elements of a fan-out and the workflow's own
constants. The types of ports decide what must be copied: no scalars, and one level of lists of scalars.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from symphony.commons.plainness import copied
from symphony.ports.values import StoredValue
from symphony.workflow.catalog import Port
from symphony.workflow.types import PortType

Copy: TypeAlias = Callable[[object], object]
Copies: TypeAlias = tuple[tuple[str, Copy], ...]
"""The copiers of the inputs that may hold a list or a map, by name."""

_HOLDERS: Final = frozenset({"list", "map"})
_ANYTHING: Final = frozenset({"any", "json"})


def copies_of(ports: Mapping[str, Port]) -> Copies:
    """Return the copiers for the values of the ports. Make them once for an operator."""
    found = ((name, _copy_of(port.type)) for name, port in ports.items())
    return tuple((name, copy) for name, copy in found if copy is not None)


def own(
    copies: Copies, given: Mapping[str, StoredValue], shared: Mapping[str, StoredValue]
) -> dict[str, object]:
    """Return the arguments for one call: `given`, with copies of what is the same object in `shared`."""
    arguments: dict[str, object] = dict(given)
    for name, copy in copies:
        value = given.get(name)
        if value is not None and shared.get(name) is value:
            arguments[name] = copy(value)
    return arguments


def _copy_of(kind: PortType) -> Copy | None:
    if kind.kind in _ANYTHING:
        return copied
    if kind.kind == "embedding":
        return _one_level
    if kind.kind in _HOLDERS:
        return copied if kind.item is None or _copy_of(kind.item) is not None else _one_level
    return None


def _one_level(value: object) -> object:
    """Return a copy of a list or map of scalars."""
    return value.copy() if isinstance(value, list | dict) else value
