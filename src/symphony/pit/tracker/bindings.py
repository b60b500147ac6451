"""What the expressions of each slot see: ports of other nodes, elements, inputs made ready."""

import asyncio
from concurrent.futures import Executor as Pool

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.core.machine import Machine, Status
from symphony.pit.tracker.execution import Executor
from symphony.pit.tracker.job import Job
from symphony.pit.tracker.values import Values
from symphony.pit.tracker.work import Work, candidates, type_of_read
from symphony.ports.values import StoredValue, Value
from symphony.workflow.expressions import Compiler, Template


class Bindings:
    """Renders templates in the scope of a slot, and derives values that follow from others."""

    def __init__(self, job: Job, machine: Machine, values: Values, executor: Executor) -> None:
        self._job, self._machine, self.values, self._executor = job, machine, values, executor

    def work(self, slot: int) -> Work:
        """The work of a slot; an element has its fan-out's."""
        element = self._machine.element_of.get(slot)
        return self._job.works[slot if element is None else element[0].slot]

    def slot_of(self, name: str) -> int:
        """The slot whose values a reader of `name` gets: its fallback's if that stood in."""
        slot = self._job.plan.index[name]
        spare = self._job.plan.nodes[slot].fallback
        if (
            spare is not None
            and slot not in self.values.held
            and self._machine.status[spare] == Status.SUCCEEDED
        ):
            return spare
        return slot

    def render(self, template: Template, slot: int | None) -> Value:
        """The template's value as the slot sees it. Raises ExpressionFailed, ArtifactMissing."""
        return self.values.render(template, self.slot_of, self._element(slot))

    def wanted(self, slot: int, work: Work) -> bool:
        """Do the node's `when` and one of its conditional edges hold?"""
        if work.conditions and not any(self._holds(slot, source, c) for source, c in work.conditions):
            return False
        return work.when is None or truth(self.render(work.when, slot), "when")

    def inputs(self, slot: int, work: Work) -> dict[str, StoredValue]:
        """What the node's inputs hold: bare references stay references."""
        element = self._element(slot)
        out: dict[str, StoredValue] = {}
        for name, template in work.inputs.items():
            if template.bare is not None and template.bare.kind == "port":
                out[name] = self.values.stored(template.bare, self.slot_of)
            else:
                out[name] = self.values.render(template, self.slot_of, element)
        return out

    async def loaded_inputs(self, slot: int, work: Work, pool: Pool) -> dict[str, StoredValue]:
        """The same, with large values that expressions need loaded in a thread."""
        await self.values.preload(work.inputs.values(), self.slot_of, asyncio.get_running_loop(), pool)
        return self.inputs(slot, work)

    def outputs(self) -> dict[str, StoredValue]:
        """The workflow's outputs, large ones as references. Raises as `render`."""
        compiler = Compiler(type_of_read, value=False)
        out: dict[str, StoredValue] = {}
        for name, value in self._job.workflow.outputs.items():
            template = compiler.template(value)
            if template.bare is not None:
                out[name] = self.values.stored(template.bare, self.slot_of)
            else:
                out[name] = self._executor.keep_output(name, self.render(template, None))
        return out

    # ---- values that follow from others ---------------------------------------------------

    def derive(self, slot: int) -> None:
        """Values that follow from others: a fan-out's lists, what a merge chose."""
        if slot in self._machine.groups:
            self._gather(slot)
        else:
            chosen = self._machine.chosen.get(slot)
            source = chosen if chosen is not None else self._first_success(self.work(slot))
            self.values.put(slot, self.values.of(source))

    def substitute(self, slot: int) -> None:
        """The values that `on_error: {value: …}` gives."""
        self.values.put(slot, dict(self.work(slot).node.on_error.value))

    def elements(self, slot: int) -> range:
        """The slots of a fan-out's elements."""
        group = self._machine.groups[slot]
        return range(group.base, group.base + group.count)

    def _gather(self, slot: int) -> None:
        ports = self._executor.port_names(self.work(slot))
        rows = [self.values.of(element) for element in self.elements(slot)]
        self.values.put(slot, {port: [self.values.plain(row.get(port)) for row in rows] for port in ports})

    def _first_success(self, work: Work) -> int:
        slots = [self.slot_of(name) for name in candidates(work)]
        return next(slot for slot in slots if self._machine.status[slot] == Status.SUCCEEDED)

    def _holds(self, slot: int, source: str, condition: Template) -> bool:
        """A conditional edge holds if its source and all it reads succeeded and it is true."""
        names = [source, *(read.name for read in condition.reads if read.kind in ("port", "node"))]
        if any(self._machine.status[self.slot_of(name)] != Status.SUCCEEDED for name in names):
            return False
        return truth(self.render(condition, slot), "the edge's when")

    def _element(self, slot: int | None) -> tuple[Value, int] | None:
        element = None if slot is None else self._machine.element_of.get(slot)
        if element is None:
            return None
        group, index = element
        items = self.values.items.get(group.slot)
        if items is None:  # after a restart: the list is derived again
            items = self.values.items[group.slot] = self._items_again(group.slot, group.count)
        return items[index], index

    def _items_again(self, slot: int, count: int) -> list[Value]:
        template = self.work(slot).for_each
        assert template is not None
        rendered = self.render(template, slot)
        if not isinstance(rendered, list) or len(rendered) != count:
            raise SymphonyError(
                "for_each gives another list than before the restart",
                code="not-repeatable",
                hint="restore the environment of the first start, or run anew",
            )
        return rendered


def truth(value: Value, what: str) -> bool:
    """A condition's result. Raises SymphonyError `type-mismatch` if it is neither true nor false."""
    if isinstance(value, bool):
        return value
    raise SymphonyError(
        f"{what} gave {type(value).__name__}, not true or false",
        code="type-mismatch",
        hint="compare the value, for instance x > 0",
    )


def same(expected: Value, value: Value) -> bool:
    """Equal as values: 1, 1.0 and true all differ."""
    return type(expected) is type(value) and expected == value
