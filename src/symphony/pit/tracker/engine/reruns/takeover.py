"""Finds, for the slots of a run, the results that it reuses from another run."""

from collections.abc import Collection, Mapping

from msgspec.structs import replace

from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts.values.codec import decode_sealed
from symphony.pit.artifacts.values.sealed import hidden
from symphony.pit.tracker.core.machine import Group, Machine
from symphony.pit.tracker.core.records import Reused, decode_reused
from symphony.pit.tracker.engine.reruns.reused import ReusedResult
from symphony.pit.tracker.nodes.bindings import Bindings
from symphony.pit.tracker.nodes.contents import KEYS_PORT, element_digests, matched, moved_name, plain_name
from symphony.pit.tracker.nodes.execution import Executor
from symphony.pit.tracker.nodes.job import Job
from symphony.pit.tracker.nodes.scope import FrameScope
from symphony.pit.tracker.nodes.sealing import Sealer
from symphony.pit.tracker.nodes.values import Values
from symphony.ports.values import StoredValue


def foreseen(
    job: Job,
    results: Mapping[str, ReusedResult],
    executor: Executor,
    known: Mapping[str, Collection[str | None]],
) -> Mapping[str, tuple[int, int, int]]:
    """Return for own fan-outs whose lists may be others how many elements take a result, how many there are,

    and how many of the rest ran before, by the `known` digests. Fan-outs whose lists nobody knows before
    the run are left out.
    """
    values = Values(job.inputs, job.environment, job.run_id, "", executor.store.load)
    level = FrameScope(job.graph, 0, Machine(job.plan, limit=1), values)
    for name, number in job.plan.index.items():
        if name in results:
            values.put(number, results[name].outputs)
    out: dict[str, tuple[int, int, int]] = {}
    for name, number in job.plan.index.items():
        work, row = job.graph.works[number], results.get(moved_name(name))
        if row is None or work.for_each is None:
            continue
        templates = [*work.inputs.values(), *work.config.values(), work.for_each]
        reads = [read for template in templates for read in template.reads]
        if any(
            read.kind in ("port", "node") and level.slot_of(read.name) not in values.held for read in reads
        ):
            continue
        try:
            items = level.render(work.for_each, None)
            new = element_digests(level, number, items, executor.sealer) if isinstance(items, list) else []
        except SymphonyError:  # the run will report why
            continue
        places = matched(_digests(row.outputs), new)
        whole = [one for one in places if one is not None and moved_name(name, one) in results]
        again = sum(
            key is not None and key in known.get(name, ())
            for key, one in zip(new, places, strict=True)
            if one is None
        )
        out[name] = len(whole), len(new), again
    return out


def _digests(outputs: Mapping[str, StoredValue]) -> list[str | None]:
    keys = outputs.get(KEYS_PORT)
    assert isinstance(keys, list)
    return [key if isinstance(key, str) else None for key in keys]


class Takeover:
    """The reusable results by the names that steps had in the other run.

    A step reuses the result of the step with its name. In a fan-out whose list may have changed, an element
    and the steps inside it reuse the results of the element with the same digest, whatever its number.
    """

    def __init__(
        self, rows: Mapping[str, bytes], machine: Machine, bindings: Bindings, sealer: Sealer
    ) -> None:
        self._rows, self._machine, self._bindings, self._sealer = rows, machine, bindings, sealer
        self._moves = any(name.endswith(moved_name("")) for name in rows)
        self._places: dict[int, list[int | None]] = {}  # by the first slot of a fan-out's elements

    def of(self, slot: int) -> Reused | None:
        """Return the result that the slot reuses, or None. Raises Deferred to load a large list first."""
        name = self._name(slot) if self._moves else self._machine.name(slot)
        body = None if name is None else self._rows.get(name)
        if name is None or body is None:
            return None
        found = decode_reused(body)
        return found if found.name is not None or not self._moves else replace(found, name=plain_name(name))

    def _name(self, slot: int) -> str | None:
        """Return the slot's name in the other run; None if there was no such step."""
        machine = self._machine
        element = machine.element_of.get(slot)
        if element is not None:
            group, index = element
            around = self._name(group.slot)
            if around is None:
                return None
            if moved_name(around) not in self._rows:
                return f"{around}[{index}]"
            number = self._matches(group, moved_name(around))[index]
            return None if number is None else moved_name(around, number)
        frame = machine.frame(slot)
        node = frame.plan.nodes[slot - frame.base].name
        if frame.parent < 0:
            return node
        above = self._name(frame.parent)
        mark = "" if frame.round is None else f"#{frame.round}"
        return None if above is None else f"{above}{mark}.{node}"

    def _matches(self, group: Group, row: str) -> list[int | None]:
        """Return for each element of the fan-out the one of the other run that it is."""
        known = self._places.get(group.base)
        if known is None:
            told = decode_sealed(decode_reused(self._rows[row]).outputs)
            assert isinstance(told, dict)
            old = _digests({KEYS_PORT: hidden(told[KEYS_PORT])})
            items = self._bindings.items(group.slot, group.count)
            level, node = self._bindings.level(group.slot), self._machine.local(group.slot)
            known = matched(old, element_digests(level, node, items, self._sealer))
            self._places[group.base] = known
        return known
