"""Gives the expressions of each slot their values, and derives values that follow from others."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import Executor as Pool
from typing import TypeVar

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.core.afresh import Afresh
from symphony.pit.tracker.core.changes import Base
from symphony.pit.tracker.core.machine import Frame, Machine, Status
from symphony.pit.tracker.nodes.assembling import NOTHING, assembled
from symphony.pit.tracker.nodes.checking import check_outputs
from symphony.pit.tracker.nodes.execution import Executor
from symphony.pit.tracker.nodes.job import Job
from symphony.pit.tracker.nodes.limits import fits
from symphony.pit.tracker.nodes.scope import FrameScope
from symphony.pit.tracker.nodes.sources import Constant, ElementRead, ListMade, PortRead, Rendered
from symphony.pit.tracker.nodes.values import Element, Values, reference_at
from symphony.pit.tracker.nodes.work import NodeWork, Work, candidates
from symphony.ports.values import ArtifactRef, StoredValue, Value
from symphony.sdk.sizes import ValueTooLarge
from symphony.workflow.expressions import ExpressionFailed, ValueTemplate
from symphony.workflow.expressions.compiler import constant
from symphony.workflow.types import STRING, kind_name, mismatch

W = TypeVar("W", bound=NodeWork)


class Bindings:
    """Renders templates in the scope of a slot, and derives values that follow from others."""

    def __init__(self, job: Job, machine: Machine, values: Values, executor: Executor) -> None:
        self._machine, self.values, self._executor = machine, values, executor
        self._levels: dict[int, FrameScope] = {0: FrameScope(job.graph, 0, machine, values)}  # by frame
        self._root = job.graph.works
        self._plain: dict[int, bool] = {}  # by the identity of a work, which lives as long as the run
        self._bases: dict[int, Base] = {}  # by the slot of the loop: that of its latest round
        self.afresh = Afresh(job.afresh, machine) if job.afresh else None
        self._gathers = False  # True once a fan-out of the run has been gathered

    def level(self, slot: int) -> FrameScope:
        """Return the level of a slot."""
        return self._levels[self._machine.frame(slot).number]

    def work(self, slot: int) -> Work:
        """Return the work of a slot; for an element, that of its fan-out."""
        if slot < len(self._root):  # the workflow's own nodes have the first slots
            return self._root[slot]
        element = self._machine.element_of.get(slot)
        if element is not None:
            slot = element[0].slot
            if slot < len(self._root):
                return self._root[slot]
        return self.level(slot).graph.works[self._machine.local(slot)]

    def element(self, slot: int) -> Element:
        """Return what `item` and `index` are for a slot."""
        found = self._machine.element_of.get(slot)
        if found is None:
            return self.level(slot).element
        group, index = found
        items = self.values.items.get(group.slot)
        if items is None:
            items = self.items(group.slot, group.count)
        return items[index], index

    def items(self, slot: int, count: int) -> list[Value]:
        """Return the list of a fan-out of `count` elements.

        Raises as `render`, and SymphonyError `not-repeatable`.
        """
        items = self.values.items.get(slot)
        if items is None:  # after a restart: the list is derived again
            items = self.values.items[slot] = self._items_again(slot, count)
        return items

    def render(self, template: ValueTemplate, slot: int) -> Value:
        """Return the template's value as the slot sees it. Raises ExpressionFailed, ArtifactMissing."""
        return self.level(slot).render(template, self.element(slot))

    def made(self, template: ValueTemplate, slot: int, what: str) -> Value:
        """Return the value of a template that has not been used yet. `what` names it in errors.

        Raises as `render`, and ValueTooLarge.
        """
        if template.bare is None:
            return self.values.plain(self.within(self.level(slot), template, self.element(slot), slot, what))
        value = self.render(template, slot)
        self._bounded(value, slot, what)
        return value

    def within(
        self, level: FrameScope, template: ValueTemplate, element: Element, slot: int, what: str
    ) -> StoredValue:
        """Return `level.kept` of a template at its first use. Raises ValueTooLarge too; `what` names it."""
        try:
            value = level.kept(template, element)
        except ValueTooLarge as error:
            raise ValueTooLarge(self._told(what, slot), self._executor.value_bytes_max) from error
        aside = self.values.aside
        passed_on = template.bare is not None and template.bare.kind != "node"
        if not passed_on and not template.constant and (aside is None or not aside.made(template)):
            self._bounded(value, slot, what)  # other values were checked where they were made
        return value

    def _bounded(self, value: StoredValue, slot: int, what: str) -> None:
        """Raise ValueTooLarge if the value exceeds the limit for values."""
        most = self._executor.value_bytes_max
        if not fits(value, most):
            raise ValueTooLarge(self._told(what, slot), most)

    def _told(self, what: str, slot: int) -> str:
        return f"{what} of {'the workflow' if slot < 0 else self._machine.name(slot)}"

    def wanted(self, slot: int, work: Work) -> bool:
        """True if the node's `when` and one of its conditional edges hold."""
        if work.conditions and not any(self._holds(slot, source, c) for source, c in work.conditions):
            return False
        return work.when is None or truth(self.render(work.when, slot), "when")

    def named(self, slot: int, work: W) -> W:
        """Return the work with its artifact's name evaluated.

        Raises as `made`, and SymphonyError `type-mismatch`.
        """
        if work.artifact_name is None or work.artifact_name.constant:
            return work
        name = self.made(work.artifact_name, slot, "artifact.name")
        if not isinstance(name, str):
            raise SymphonyError(
                f"artifact.name gave {kind_name(name)}, not a string",
                code="type-mismatch",
                hint='put text around it, such as "report-${{ item }}", or use string(x)',
            )
        shown = self._executor.sealer.mask(name)  # anybody may see names
        return msgspec.structs.replace(work, artifact_name=constant(shown, STRING))

    def configured(self, slot: int, work: W) -> W:
        """Return the work with the expressions in its `config` evaluated. Raises as `render`."""
        if all(template.constant for template in work.config.values()):
            return work
        config = {key: constant(self.made(one, slot, f"config {key}")) for key, one in work.config.items()}
        return msgspec.structs.replace(work, config=config)

    def inputs(self, slot: int, work: Work) -> dict[str, StoredValue]:
        """Return the node's inputs. Bare references stay references."""
        base, held = self._machine.frame(slot).base, self.values.held
        out: dict[str, StoredValue] = {}
        for name, source in work.sources.items():
            if type(source) is PortRead:
                node, port = source
                out[name] = held.get(base + node, NOTHING).get(port)
            elif type(source) is Constant:
                out[name] = source.value
            elif type(source) is ElementRead:
                element = self.element(slot)
                out[name] = None if element is None else element[source.part]
            elif type(source) is Rendered:
                out[name] = self._rendered(source.template, slot, name)
            else:
                element = self.element(slot) if source.ports is None else None
                made = assembled(source, base, held, element, self._executor.value_bytes_max)
                out[name] = self._rendered(source.template, slot, name) if made is None else made
        return out

    def looked_up(self, slot: int, work: Work) -> dict[str, StoredValue] | None:
        """Return the inputs of a node that has only ports, constants and lists of small ports; else None.

        Loads and evaluates nothing. It saves a call of `at_hand`, and looking up ports twice.
        """
        if work.config or work.artifact_name is not None or slot in self._machine.element_of:
            return None
        base, held = self._machine.frame(slot).base, self.values.held
        out: dict[str, StoredValue] = {}
        for name, source in work.sources.items():
            if type(source) is PortRead:
                node, port = source
                out[name] = held.get(base + node, NOTHING).get(port)
            elif type(source) is Constant:
                out[name] = source.value
            elif type(source) is ListMade and source.ports is not None and not self._gathers:
                made = assembled(source, base, held, None, self._executor.value_bytes_max)
                if made is None:
                    return None
                out[name] = made
            else:
                return None
        return out

    def _rendered(self, template: ValueTemplate, slot: int, name: str) -> StoredValue:
        """Return an input that is a bare reference or is computed."""
        level, element = self.level(slot), self.element(slot)
        if template.bare is not None:
            return level.kept(template, element)
        return self.within(level, template, element, slot, f"input {name}")

    def must_load(self, slot: int, work: Work) -> bool:
        """True if expressions of an attempt may need stored values, so that `preload` has something to do."""
        base, held = self._machine.frame(slot).base, self.values.held
        for source in work.sources.values():
            if type(source) is ListMade and source.ports is not None:
                if self._gathers:
                    refs = (reference_at(held.get(base + node, NOTHING), port) for node, port in source.ports)
                    found = any(ref is not None for ref in refs)
                else:
                    read = [held.get(base + node, NOTHING).get(port) for node, port in source.ports]
                    found = ArtifactRef in map(type, read)
                if found:
                    return True
            elif type(source) not in (PortRead, Constant, ElementRead):
                return True
        return not all(template.constant for template in work.config.values()) or (
            work.artifact_name is not None and not work.artifact_name.constant
        )

    def only_reads(self, work: Work) -> bool:
        """True if the inputs of an attempt are only looked up, and all else is constant."""
        known = self._plain.get(id(work))
        if known is None:
            constant = all(template.constant for template in work.config.values())
            name = work.artifact_name is None or work.artifact_name.constant
            plain = all(type(one) in (PortRead, Constant, ElementRead) for one in work.sources.values())
            known = self._plain[id(work)] = constant and name and plain
        return known

    def at_hand(self, slot: int, work: Work) -> bool:
        """True if all that the attempt's expressions read is in memory: they may be evaluated at once."""
        if self.only_reads(work) or not self.must_load(slot, work):
            return True
        level = self.level(slot)
        read = [*work.inputs.values(), *work.config.values()]
        if work.artifact_name is not None:
            read.append(work.artifact_name)
        return not level.values.lacks(read, level.slot_of)

    async def preload(self, slot: int, work: Work, pool: Pool) -> None:
        """Load in a thread the large values that the expressions of an attempt need."""
        level = self.level(slot)
        read = [*work.inputs.values(), *work.config.values()]
        if work.artifact_name is not None:
            read.append(work.artifact_name)
        await level.values.preload(read, level.slot_of, asyncio.get_running_loop(), pool)

    def config(self, slot: int, work: Work) -> dict[str, StoredValue]:
        """Return the node's configuration, once the inputs are loaded."""
        level, element = self.level(slot), self.element(slot)
        return {
            name: self.within(level, template, element, slot, f"config {name}")
            for name, template in work.config.items()
        }

    def outputs(self, frame: Frame) -> dict[str, StoredValue]:
        """Return the outputs of the workflow that ran in `frame`, large ones as references.

        Raises as `render`, with the name of the output in the message and in the detail `output`.
        """
        level = self._levels[frame.number]
        made = {
            name: self._output(level, template, name, frame.parent)
            for name, template in level.graph.outputs.items()
        }
        return {name: self.kept(value, name, frame.parent) for name, value in made.items()}

    def _output(self, level: FrameScope, template: ValueTemplate, name: str, slot: int) -> StoredValue:
        try:
            return self.within(level, template, level.element, slot, f"output {name}")
        except ExpressionFailed as error:
            error.message, error.details = f"output {name}: {error.message}", {"output": name}
            raise

    def declared(
        self, slot: int, work: Work, outputs: Mapping[str, StoredValue]
    ) -> Mapping[str, StoredValue]:
        """Return outputs that no operator made, after storing the one that the node declares as its artifact.

        Raises as `named`, and StorageFull.
        """
        if work.node.artifact is None:
            return outputs
        return self._executor.store.keep_declared(self.named(slot, work), outputs, self._machine.name(slot))

    def kept(self, value: StoredValue, name: str, slot: int) -> StoredValue:
        """Return the value, or a reference if it is large: `name` of what runs in `slot`, the run if -1."""
        return self._executor.store.keep_output(name, value, "" if slot < 0 else self._machine.name(slot))

    # ---- graphs inside nodes --------------------------------------------------------------

    def base(self, slot: int) -> Base | None:
        """Return the recorded state of the round that the slot runs in, if it runs in one."""
        return None if slot < len(self._root) else self.level(slot).values.base

    def grows(self, slot: int, body: bytes) -> bool:
        """True if little is new in the outputs `body` of the slot, compared with the state of its round."""
        base = self.base(slot)
        return base is not None and base.difference(body) is not None

    def before(self, slot: int) -> Base | None:
        """Return the recorded form of the loop's latest state."""
        return self._bases.get(slot)

    def forget(self, slot: int) -> None:
        """Drop the state of a loop that has ended."""
        self._bases.pop(slot, None)

    def enter(self, slot: int, given: Mapping[str, StoredValue], body: bytes = b"", spent: int = 0) -> None:
        """Make the level of the frame that was opened in `slot`; `given` holds inputs or a loop's state.

        `body` is the recorded form of a state; `spent` is as in `changes.Base`.
        """
        frame = self._machine.children.get(slot)
        if frame is None:
            return  # the run is being cancelled
        here, element = self.level(slot), self.element(slot)
        graph = here.graph.below[self._machine.local(slot)]
        if frame.round is None:
            level = FrameScope(graph, frame.base, self._machine, self.values.inside(inputs=given))
        else:
            artifacts, before = self._executor.artifacts, self._bases.get(slot)
            base = Base(
                body, given, lambda ref: artifacts.get(ref.sealed or ref.digest), spent=spent, before=before
            )
            self._bases[slot] = base
            values = here.values.inside(state=given, iteration=frame.round, base=base)
            level = FrameScope(graph, frame.base, self._machine, values, outer=here, element=element)
        self._levels[frame.number] = level

    def inside(self, frame: Frame) -> FrameScope:
        """Return the level of a frame that was entered and has not been left."""
        return self._levels[frame.number]

    def leave(self, frame: Frame) -> None:
        """Drop the values of a frame that nothing will read any more."""
        if self._levels.pop(frame.number, None) is not None:
            for slot in range(frame.base, frame.base + len(frame.plan.nodes)):
                self.values.held.pop(slot, None)
                self.values.items.pop(slot, None)
                for element in self.elements(slot) if slot in self._machine.groups else ():
                    self.values.held.pop(element, None)

    # ---- values that follow from others ---------------------------------------------------

    def derive(self, slot: int) -> None:
        """Derive the outputs of a fan-out (its lists) or of a merge (the chosen values)."""
        if slot in self._machine.groups:
            self._gather(slot)
        else:
            chosen = self._machine.chosen.get(slot)
            source = self._shown(chosen) if chosen is not None else self._first_success(slot)
            self.values.put(slot, self.values.of(source))

    def instead(self, slot: int) -> Mapping[str, StoredValue]:
        """Return the outputs that `on_error: {value: …}` gives. Raises as `render`, and `type-mismatch`."""
        work, level, element = self.work(slot), self.level(slot), self.element(slot)
        if work.for_each is not None and slot not in self._machine.element_of:
            raise SymphonyError(
                "it stands for an element, and there is no list of elements",
                code="type-mismatch",
                hint="mend for_each, or give the node a `fallback`",
            )
        given = {
            port: self.within(level, template, element, slot, f"on_error.value.{port}")
            for port, template in work.instead.items()
        }
        for port, value in given.items():
            kind = work.output_types.get(port)
            if kind is not None and (why := mismatch(self.values.plain(value), kind)):
                raise SymphonyError(
                    f"on_error.value.{port}: {why}", code="type-mismatch", hint=f"{port} gives {kind}"
                )
            if not work.instead[port].constant:
                given[port] = self.kept(value, port, slot)
        return check_outputs(work, given)

    def elements(self, slot: int) -> range:
        """Return the slots of a fan-out's elements."""
        group = self._machine.groups[slot]
        return range(group.base, group.base + group.count)

    def bound_gathered(self, slot: int) -> None:
        """Raise ValueTooLarge if the lists of a fan-out's elements exceed the limit for values.

        Loads nothing, because the size of a stored value is known.
        """
        most = self._executor.value_bytes_max
        rows = [self.values.of(element) for element in self.elements(slot)]
        for port in self.work(slot).output_types:
            column = [row.get(port) for row in rows]
            stored = sum(value.size for value in column if isinstance(value, ArtifactRef))
            others = [value for value in column if not isinstance(value, ArtifactRef)]
            if stored > most or not fits(others, most - stored):
                raise ValueTooLarge(f"output {port} of {self._machine.name(slot)}", most)

    def _gather(self, slot: int) -> None:
        ports = self.work(slot).output_types
        rows = [self.values.of(element) for element in self.elements(slot)]
        columns = {port: [row.get(port) for row in rows] for port in ports}
        self._gathers = True
        self.values.put(slot, self.values.gathered(columns))

    def _shown(self, slot: int) -> int:
        """Return the slot whose values others see for this one: its fallback's if that stood in."""
        return self.level(slot).slot_of(self._machine.node(slot).name)

    def _first_success(self, slot: int) -> int:
        slot_of = self.level(slot).slot_of
        slots = [slot_of(name) for name in candidates(self.work(slot))]
        return next(slot for slot in slots if self._machine.status[slot] == Status.SUCCEEDED)

    def _holds(self, slot: int, source: str, condition: ValueTemplate) -> bool:
        """Whether a conditional edge holds: its source and all it reads succeeded, and it is true."""
        slot_of = self.level(slot).slot_of
        names = [source, *(read.name for read in condition.reads if read.kind in ("port", "node"))]
        if any(self._machine.status[slot_of(name)] != Status.SUCCEEDED for name in names):
            return False
        return truth(self.render(condition, slot), "the edge's when")

    def _items_again(self, slot: int, count: int) -> list[Value]:
        template = self.work(slot).for_each
        assert template is not None
        rendered = self.render(template, slot)
        if not isinstance(rendered, list) or len(rendered) != count:
            raise SymphonyError(
                "for_each gives another list than before the restart",
                code="not-repeatable",
                hint="restore the environment of the first start, or begin a new run",
            )
        return rendered


def truth(value: Value, what: str) -> bool:
    """Return a condition's result. Raises SymphonyError `type-mismatch` if it is not true or false."""
    if isinstance(value, bool):
        return value
    raise SymphonyError(
        f"{what} gave {kind_name(value)}, not true or false",
        code="type-mismatch",
        hint="compare the value, for instance x > 0",
    )


def same(expected: Value, value: Value) -> bool:
    """Whether two values are equal and of the same type: 1, 1.0 and true all differ."""
    return type(expected) is type(value) and expected == value
