"""Makes the labels of a fan-out's elements: those that its node asks for, or else the elements themselves."""

import logging
from collections.abc import Sequence
from typing import Final

from symphony.commons.errors import SymphonyError
from symphony.commons.unicode import escaped
from symphony.pit.tracker.core.labels import LABELLED_MAX, own_label, own_labels, shown_label
from symphony.pit.tracker.core.machine import Machine
from symphony.pit.tracker.nodes.aside import Aside, Deferred
from symphony.pit.tracker.nodes.bindings import Bindings
from symphony.pit.tracker.nodes.sealing import Sealer
from symphony.pit.tracker.nodes.values import Element
from symphony.ports.values import Value
from symphony.workflow.expressions import ValueTemplate
from symphony.workflow.types import kind_name

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 500
"""The number of labels that are evaluated before the loop gets a turn."""
_NOBODY: Final = -2
"""A slot number for which no heavy expression is evaluated."""


class Labels:
    """The labels of one run's elements. A label that cannot be made is left out, with a warning for its node.

    Use from the run's loop.
    """

    def __init__(self, machine: Machine, bindings: Bindings, aside: Aside, sealer: Sealer) -> None:
        self._machine, self._bindings, self._aside, self._sealer = machine, bindings, aside, sealer
        self._made: dict[int, list[str | None]] = {}  # by fan-out whose labels are being made
        self._warned: set[int] = set()  # by the identity of a label's expression

    def of_all(self, slot: int, items: Sequence[Value]) -> Sequence[str | None] | None:
        """Return the labels to record with a fan-out; None if it has none, or too many. Raises Deferred."""
        label = self._bindings.work(slot).label
        if label is None:
            return own_labels(items, self._sealer.mask_cut if self._sealer else None)
        return None if len(items) > LABELLED_MAX else self._written(slot, label, items)

    def unrecorded(self, slot: int) -> str | None:
        """Return the label of an element whose fan-out has too many elements to record labels."""
        found = self._machine.element_of.get(slot)
        if found is None or found[0].count <= LABELLED_MAX:
            return None
        element, label = self._bindings.element(slot), self._bindings.work(slot).label
        if label is not None:
            return self._evaluated(found[0].slot, label, element)
        own = None if element is None else own_label(element[0])
        return None if own is None else shown_label(own, self._sealer.mask_cut)

    def _written(self, slot: int, label: ValueTemplate, items: Sequence[Value]) -> list[str | None]:
        """Return the labels that the node asks for. Raises Deferred after some: ask again for the others."""
        made = self._made.setdefault(slot, [])
        last = len(made) + _AT_ONCE if self._aside.heeded else len(items)
        for index in range(len(made), len(items)):
            if index == last or (index and self._aside.tired and self._aside.heeded):
                raise Deferred(f"labels from {index}", _nothing, {})
            made.append(self._evaluated(slot, label, (items[index], index)))
        return self._made.pop(slot)

    def _evaluated(self, slot: int, label: ValueTemplate, element: Element) -> str | None:
        try:
            with self._aside.at(_NOBODY):
                value = self._bindings.level(slot).render(label, element)
        except Deferred:
            why = "it takes too long to evaluate"
        except SymphonyError as error:
            why = error.message
        else:
            if isinstance(value, str):
                return shown_label(value, self._sealer.mask_cut)
            why = f"it gave {kind_name(value)}, not a string"
        if id(label) not in self._warned:
            self._warned.add(id(label))
            name = f"{self._machine.name(slot)}[{0 if element is None else element[1]}]"
            logger.warning("the label of %s is left out: %s", name, escaped(self._sealer.mask_cut(why)))
        return None


def _nothing() -> Value:
    """Do nothing; awaited between two turns of the loop."""
    return None
