"""Resolves where the value of an input comes from, so that a run looks up nothing by name. Pure.

A reference to a node of the same level without a fallback becomes the number of that node. Lists and
maps of such references, of constants, and of a fan-out's item and index, keep their form. Everything else
stays a template to be rendered.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias, final

import msgspec

from symphony.ports.values import Value
from symphony.workflow.expressions import ValueTemplate


@final
class Constant(msgspec.Struct, frozen=True):
    """A value without expressions."""

    value: Value


@final
class PortRead(NamedTuple):
    """Port `port` of node `node` of the same graph, in slot `base + node`; null if the slot has no such port.

    The node has no fallback that might stand in.
    """

    node: int
    port: str


@final
class ElementRead(msgspec.Struct, frozen=True):
    """The item of an element of a fan-out (`part` 0), or its index (1)."""

    part: int


@final
class Rendered(msgspec.Struct, frozen=True):
    """A template that is rendered, which looks up names."""

    template: ValueTemplate


@final
class ListMade(NamedTuple):
    """A list with a source for each element; `ports` are its elements if all are `PortRead`."""

    template: ValueTemplate
    items: "tuple[Source, ...]"
    ports: tuple[PortRead, ...] | None


@final
class MapMade(msgspec.Struct, frozen=True):
    """A map with a source for each value."""

    template: ValueTemplate
    items: "Mapping[str, Source]"
    ports: None = None


Source: TypeAlias = Constant | PortRead | ElementRead | ListMade | MapMade | Rendered


class Sources:
    """Resolves the templates of one graph. `numbers` has the nodes without a fallback."""

    def __init__(self, numbers: Mapping[str, int]) -> None:
        self._numbers = numbers
        self._known: dict[ValueTemplate, Source] = {}  # of references and constants, which recur

    def of(self, template: ValueTemplate) -> Source:
        """Return where the template's value comes from."""
        if template.elements is not None:
            return self._list(template)
        found = self._known.get(template)
        if found is None:
            found = self._known[template] = self._made(template)
        return found

    def _list(self, template: ValueTemplate) -> Source:
        inside = template.inside
        assert isinstance(inside, Sequence)
        items = [*map(self._known.get, inside)]
        if not all(items):
            items = [one or self.of(item) for one, item in zip(items, inside, strict=True)]
        types = set(map(type, items))
        if Rendered in types:
            return Rendered(template)
        found: tuple[Source, ...] = tuple(items)  # type: ignore[arg-type]  # all are there
        ports = found if len(types) == 1 and PortRead in types else None
        return ListMade(template, found, ports)  # type: ignore[arg-type]  # all are ports

    def _made(self, template: ValueTemplate) -> Source:
        if template.constant:
            return Constant(template.value)
        read = template.bare
        if read is not None:
            number = self._numbers.get(read.name) if read.kind == "port" else None
            if number is not None:
                return PortRead(number, read.port)
            if read.kind in ("item", "index"):
                return ElementRead(0 if read.kind == "item" else 1)
            return Rendered(template)
        inside = template.inside
        if isinstance(inside, Mapping):
            parts = {key: self.of(item) for key, item in inside.items()}
            if not any(type(part) is Rendered for part in parts.values()):
                return MapMade(template, parts)
        return Rendered(template)
