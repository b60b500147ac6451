"""The labels of a run's steps, for readers that know only the steps' names. Blocking."""

from collections.abc import Callable, Mapping

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.core.labels import joined
from symphony.pit.tracker.core.names import elements_of
from symphony.pit.tracker.core.replay import RunReplay


class StepLabels:
    """Looks steps up in what is recorded, which `replay` gives; first when an element is asked for.

    A journal that cannot be read has no labels: a closer look reports the fault.
    """

    def __init__(self, replay: Callable[[], RunReplay]) -> None:
        self._replay = replay
        self._elements: Mapping[str, str] = {}
        self._found: dict[str, str | None] = {}

    def of(self, name: str) -> str | None:
        """The label of the element that the step is, behind those of the elements around it."""
        if "]" not in name:
            return None
        if name not in self._found:
            if not any(element in self._elements for element in elements_of(name)):
                self._read()
            self._found[name] = joined(self._elements.get(element) for element in elements_of(name))
        return self._found[name]

    def _read(self) -> None:
        try:
            self._elements = self._replay().labelled()
        except (SymphonyError, OSError):
            self._elements = {}
