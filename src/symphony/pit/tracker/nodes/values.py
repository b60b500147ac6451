"""The values of one run: those that each slot's ports hold, and how expressions find them."""

import asyncio
import copy
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor as Pool
from typing import TYPE_CHECKING

from symphony.commons.plainness import is_long
from symphony.pit.tracker.core.changes import Base
from symphony.ports.values import ArtifactRef, StoredValue, Value
from symphony.workflow.expressions import ExpressionFailed, Read, ValueTemplate, celtypes
from symphony.workflow.expressions.effort import SHORT
from symphony.workflow.expressions.picking import NotPicked, Pick, picked

if TYPE_CHECKING:
    from symphony.pit.tracker.nodes.aside import Aside

_LOADED_BYTES_MAX = 64 * 1024 * 1024
LOADED_AT_ONCE_MAX = 1 << 20
"""In bytes: a larger stored value is loaded in a thread before an expression sees it."""

_SOUND_MAX = 16
_SCALARS = frozenset({type(None), bool, int, float})

SlotOf = Callable[[str], int]
Element = tuple[Value, int] | None


class Gathered(Mapping[str, StoredValue]):
    """The lists that the elements of a fan-out make, by port. They are loaded when they are read.

    `elsewhere` returns a list that is better loaded in a thread than where it is read.
    """

    def __init__(
        self,
        columns: Mapping[str, Sequence[StoredValue]],
        plain: Callable[[StoredValue], Value],
        elsewhere: "Callable[[Gathered, str], Value]",
    ) -> None:
        self._ports, self._plain, self._elsewhere = tuple(columns), plain, elsewhere
        self._columns = dict(columns)  # of the lists that have not been made
        self._lists: dict[str, list[Value]] = {}
        self._making = threading.Lock()

    def __getitem__(self, port: str) -> StoredValue:
        """Return the list of a port. Raises KeyError, and as `Values.plain` and `elsewhere`."""
        made = self._lists.get(port)
        if made is not None:
            return made
        if self._stored_bytes(port) > LOADED_AT_ONCE_MAX:
            return self._elsewhere(self, port)
        return self.load(port)

    def load(self, port: str) -> list[Value]:
        """Return the list, loaded once. Call in any thread. Raises KeyError, and as `Values.plain`."""
        with self._making:
            made = self._lists.get(port)
            if made is None:
                made = self._lists[port] = [self._plain(value) for value in self._columns[port]]
                del self._columns[port]
            return made

    def _stored_bytes(self, port: str) -> int:
        column = self._columns.get(port, ())
        return sum(value.size for value in column if isinstance(value, ArtifactRef))

    def __iter__(self) -> Iterator[str]:
        return iter(self._ports)

    def __len__(self) -> int:
        return len(self._ports)


def reference_at(ports: Mapping[str, StoredValue], port: str) -> ArtifactRef | None:
    """Return the reference that a port holds, if any. A fan-out's list is no reference, and loads itself."""
    value = None if type(ports) is Gathered else ports.get(port)
    return value if isinstance(value, ArtifactRef) else None


class Values:
    """The ports by slot; large values are references, loaded when an expression needs them."""

    def __init__(
        self,
        inputs: Mapping[str, Value],
        environment: Mapping[str, str],
        run_id: str,
        started_at: str,
        load: Callable[[ArtifactRef], Value],
    ) -> None:
        self.held: dict[int, Mapping[str, StoredValue]] = {}
        self.items: dict[int, list[Value]] = {}
        self.state: Mapping[str, StoredValue] = {}
        self.iteration: int | None = None
        self.base: Base | None = None  # the recorded state of the innermost round
        self.inputs: Mapping[str, StoredValue] = inputs
        self.aside: Aside | None = None  # evaluates heavy expressions elsewhere
        self._environment, self._load = environment, load
        self._run: dict[str, Value] = {"id": run_id, "started_at": started_at}
        self._loaded: dict[str, Value] = {}
        self._loaded_bytes = [0]  # shared with the graphs inside
        self._sound: dict[int, tuple[Value, bool]] = {}  # by id: whether the evaluator takes it unchanged

    def inside(
        self,
        *,
        inputs: Mapping[str, StoredValue] | None = None,
        state: Mapping[str, StoredValue] | None = None,
        iteration: int | None = None,
        base: Base | None = None,
    ) -> "Values":
        """Return these values as a graph inside sees them: with inputs of its own, or a loop's state."""
        other = copy.copy(self)
        if inputs is not None:
            other.inputs = inputs
        other.state, other.iteration = state or {}, iteration
        other.base = base or self.base
        return other

    def put(self, slot: int, outputs: Mapping[str, StoredValue]) -> None:
        """Set the slot's ports."""
        self.held[slot] = outputs

    def of(self, slot: int) -> Mapping[str, StoredValue]:
        """Return the slot's ports; empty if it was skipped."""
        return self.held.get(slot, {})

    def stored(self, read: Read, slot_of: SlotOf) -> StoredValue:
        """Return the value of a bare reference. Large values stay references."""
        if read.kind == "port":
            return self.of(slot_of(read.name)).get(read.port)
        if read.kind == "input":
            return self.inputs.get(read.name)
        if read.kind == "state":
            return self.state.get(read.name)
        return self._lookup(read, slot_of, None)

    def plain(self, value: StoredValue) -> Value:
        """Return the value itself, loaded if it is a reference."""
        if not isinstance(value, ArtifactRef):
            return value
        key = _key(value)
        found = self._loaded.get(key)
        if found is None:  # a stored value is never null
            found = self._load(value)
            if self._loaded_bytes[0] + value.size > _LOADED_BYTES_MAX:
                self._loaded.clear()
                self._loaded_bytes[0] = 0
            self._loaded[key] = found
            self._loaded_bytes[0] += value.size
        return found

    def gathered(self, columns: Mapping[str, Sequence[StoredValue]]) -> Gathered:
        """Return the ports of a fan-out whose elements hold `columns`."""
        return Gathered(columns, self.plain, self._list_elsewhere)

    def _list_elsewhere(self, ports: Gathered, port: str) -> Value:
        """Return a large list of a fan-out. Raises Deferred on the loop of a run."""
        if self.aside is None or not self.aside.heeded:
            return ports.load(port)
        return self.aside.elsewhere(f"{port} of {id(ports)}", lambda: ports.load(port))

    def render(self, template: ValueTemplate, slot_of: SlotOf, element: Element) -> Value:
        """Return the template's value. Raises ExpressionFailed, ArtifactMissing, ArtifactCorrupt.

        On the loop of a run, raises Deferred and ValueTooLarge too.
        """
        if template.constant:
            return template.value
        if template.bare is not None:
            return self._lookup(template.bare, slot_of, element)
        pick = template.pick
        if pick is not None:
            try:
                return self._picked(pick, slot_of, element)
            except NotPicked:
                pass
        if self.aside is None:
            return template.render(lambda read: self._lookup(read, slot_of, element))
        reads = template.reads
        if len(reads) == 1:  # most expressions are short and read one small value
            value = self._lookup(reads[0], slot_of, element)
            if _is_small(value) and template.light and self.aside.light:
                return template.render(lambda _: value)
            values = {reads[0]: value}
        else:
            values = {read: self._lookup(read, slot_of, element) for read in reads}
        # Long values are copied for the evaluator, which may need only a part.
        if any(map(is_long, values.values())) and template.light and self.aside.light:
            try:
                return self._of_parts(template, values)
            except NotPicked:
                pass
        return self.aside.render(template, values)

    def _of_parts(self, template: ValueTemplate, values: Mapping[Read, Value]) -> Value:
        """Return the template's value if it needs few parts of long lists and maps. Raises NotPicked."""
        found = template.picked_parts
        if found is None:
            raise NotPicked
        few = {read: values[read] for read in found.reads}
        for part, pick in found.picks.items():
            whole = values[pick.read]
            if not isinstance(whole, list | dict) or not self._sound_whole(
                whole, lasts=pick.read.kind != "item"
            ):
                raise NotPicked
            few[part] = picked(pick, whole, values.__getitem__)
        if not all(map(_is_small, few.values())):
            raise NotPicked
        try:
            return found.value(few.__getitem__)
        except ExpressionFailed:  # rendering with the whole values shows why
            raise NotPicked from None

    def _picked(self, pick: Pick, slot_of: SlotOf, element: Element) -> Value:
        """Return a part of a value, as rendering returns it. Raises NotPicked, and Deferred."""
        value = self._lookup(pick.read, slot_of, element)
        if not isinstance(value, list | dict):
            raise NotPicked
        if not self._sound_whole(value, lasts=pick.read.kind != "item"):
            raise NotPicked
        return picked(pick, value, lambda read: self._lookup(read, slot_of, element))

    def _sound_whole(self, value: Value, *, lasts: bool) -> bool:
        """True if the evaluator takes the value as it is. Remembered if others will read it: it `lasts`."""
        known = self._sound.get(id(value))
        if known is not None:
            return known[1]
        try:
            sound = not celtypes.is_cut(value)
        except ValueError:
            sound = False
        if lasts:
            if len(self._sound) == _SOUND_MAX:
                del self._sound[next(iter(self._sound))]
            self._sound[id(value)] = value, sound  # held, so that its id stays unique
        return sound

    def _seen(self, value: StoredValue) -> Value:
        """Return the value as an expression sees it. Raises Deferred for a large one that is not loaded."""
        if (
            self.aside is not None
            and isinstance(value, ArtifactRef)
            and value.size > LOADED_AT_ONCE_MAX
            and self.aside.heeded
            and _key(value) not in self._loaded
        ):
            return self.aside.loaded(value)
        return self.plain(value)

    def _lookup(self, read: Read, slot_of: SlotOf, element: Element) -> Value:
        match read.kind:
            case "port":
                return self._seen(self.of(slot_of(read.name)).get(read.port))
            case "input":
                return self._seen(self.inputs.get(read.name))
            case "state":
                return self._seen(self.state.get(read.name))
            case "iteration":
                return self.iteration
            case "item":
                return None if element is None else element[0]
            case "index":
                return None if element is None else element[1]
            case "node":
                return {port: self._seen(value) for port, value in self.of(slot_of(read.name)).items()}
            case "run":
                return self._run.get(read.name)
            case "env":
                return self._environment.get(read.name)
        return None

    def lacks(self, templates: Iterable[ValueTemplate], slot_of: SlotOf) -> bool:
        """True if `preload` would load anything."""
        return any(True for _ in self._missing(templates, slot_of))

    async def preload(
        self, templates: Iterable[ValueTemplate], slot_of: SlotOf, loop: asyncio.AbstractEventLoop, pool: Pool
    ) -> None:
        """Load in a thread the values that rendering `templates` would load on the loop."""
        for ref in self._missing(templates, slot_of):
            await loop.run_in_executor(pool, self.plain, ref)

    def _missing(self, templates: Iterable[ValueTemplate], slot_of: SlotOf) -> Iterator[ArtifactRef]:
        """Yield the stored values that rendering `templates` would load."""
        for template in templates:
            if template.bare is not None or template.constant:
                continue
            for read in template.reads:
                held: Iterable[StoredValue] = ()
                if read.kind in ("input", "state"):
                    held = (self.stored(read, slot_of),)
                elif read.kind in ("port", "node"):
                    ports = self.of(slot_of(read.name))
                    held = [
                        reference_at(ports, port) for port in (ports if read.port == "" else (read.port,))
                    ]
                for value in held:
                    if isinstance(value, ArtifactRef) and _key(value) not in self._loaded:
                        yield value


def _is_small(value: Value) -> bool:
    return type(value) in _SCALARS or (type(value) is str and len(value) <= SHORT)


def _key(ref: ArtifactRef) -> str:
    return ref.identity
