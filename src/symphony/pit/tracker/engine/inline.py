"""Runs pure async operators that cannot suspend to their end on the loop, without a task.

This is the hot path of a run with many small nodes. Every shortcut below gives the same result as the
normal path: what is checked, sealed, stored and recorded does not depend on the path.
"""

from collections.abc import Callable, Mapping
from contextvars import copy_context

from symphony.commons.errors import SymphonyError
from symphony.commons.forks import GENERATION, end_copy
from symphony.commons.raised import contained
from symphony.pit.tracker.engine.parts import RunParts
from symphony.pit.tracker.nodes.aside import Deferred
from symphony.pit.tracker.nodes.attempt import NodeAttempt, never
from symphony.pit.tracker.nodes.checking import check_inputs, check_outputs, check_references
from symphony.pit.tracker.nodes.failures import NotStored
from symphony.pit.tracker.nodes.owning import own
from symphony.pit.tracker.nodes.work import OperatorWork
from symphony.ports.values import INLINE_BYTES_MAX, ArtifactRef, StoredValue, Value
from symphony.sdk.sizes import HOLDERS, ports_of

APART_BYTES = 1 << 20
"""Larger outputs are stored in a thread."""


class Inline:
    """Runs slots whose operators are inline; `run` reports how the slot ended before it returns.

    A very large result is handed to `store`, which reports later (see `Attempts.store`).
    """

    def __init__(
        self,
        parts: RunParts,
        store: Callable[[int, OperatorWork, Mapping[str, StoredValue], Mapping[str, Value], float], None],
    ) -> None:
        self._store = store
        self._machine, self._bindings, self._transitions = parts.machine, parts.bindings, parts.transitions
        executor = self._executor = parts.executor
        self._now, self._inputs = parts.clock.now_s, parts.bindings.inputs
        self._gave, self._checked = parts.transitions.gave, executor.store.checked
        self._secrets, self._capture, self._log = bool(executor.sealer), executor.capture, executor.log
        self._encoded = executor.store.encoded

    def run(self, slot: int, work: OperatorWork) -> None:
        """Run one attempt, from its inputs to its record."""
        started = self._now()
        try:
            inputs = self._inputs(slot, work)
            if work.config:
                work = self._bindings.configured(slot, work)
            if work.artifact_name is not None:
                work = self._bindings.named(slot, work)
            returned = self._called(slot, work, inputs)
            made = self._encoded(work, returned) or self._ready(slot, work, inputs, returned, started)
            if made is None:
                return
        except Deferred:
            raise  # nothing has happened yet
        except NotStored as error:
            self._transitions.halt(error.why)
            return
        except BaseException as error:  # noqa: BLE001  (an operator may raise anything)
            self._transitions.failed(slot, contained(error), started)
            return
        self._gave(slot, made[0], made[1], started)

    def _called(self, slot: int, work: OperatorWork, inputs: dict[str, StoredValue]) -> object:
        """Call the operator. Raises whatever it raises."""
        operator = work.operator
        if work.typed_inputs:
            check_inputs(work, inputs, self._checked)
        plain: Mapping[str, StoredValue] = inputs
        for value in inputs.values():
            if type(value) is ArtifactRef:
                plain = self._executor.store.loaded(work, inputs)
                break
        arguments: Mapping[str, object] = plain
        if operator.context_name is not None:
            arguments = self._executor.contexts.arguments(self._attempt(slot, work, inputs), plain, never)
        elif work.copies:
            arguments = own(work.copies, plain, inputs)
        before = GENERATION[0]
        try:
            coroutine = operator.function(**arguments)
            with self._capture(lambda text, stream: self._log(self._machine.name(slot), text, stream)):
                # A context of its own: what it sets there, such as decimal precision, affects no one else.
                copy_context().run(coroutine.send, None)  # type: ignore[attr-defined]  # style inline: an async function
        except StopIteration as stop:
            returned: object = stop.value
            return returned
        finally:
            if GENERATION[0] != before:
                end_copy(before)
        coroutine.close()  # type: ignore[attr-defined]
        raise SymphonyError(
            f"{operator.info.name} suspended though it is inline",
            code="operator-suspended",
            hint="declare it with inline=False",
        )

    def _outputs(self, slot: int, work: OperatorWork, found: object) -> dict[str, Value]:
        """Return the operator's result as plain values by port. Raises whatever the conversion raises."""
        operator, before = work.operator, GENERATION[0]
        try:
            if not isinstance(found, HOLDERS):  # a scalar needs no check for shared parts
                return operator.ports(found)
            return ports_of(operator, self._machine.name(slot), self._executor.value_bytes_max)(found)
        finally:
            end_copy(before)

    def _ready(
        self,
        slot: int,
        work: OperatorWork,
        inputs: Mapping[str, StoredValue],
        found: object,
        started: float,
    ) -> tuple[Mapping[str, StoredValue], bytes] | None:
        """Return the outputs as others see them and as the journal holds them; None if `store` has them."""
        returned = self._outputs(slot, work, found)
        if work.node.artifact is None:
            made = check_outputs(work, returned)
            body = self._executor.store.encoded_outputs(made)
            if len(body) <= INLINE_BYTES_MAX:
                return made, body
            if self._secrets or len(body) > self._executor.value_bytes_max:
                self._executor.store.bound_outputs(made, self._machine.name(slot))
            if self._bindings.grows(slot, body):
                return made, body
            if len(body) > APART_BYTES:
                self._store(slot, work, inputs, made, started)
                return None
        stored = self._executor.store.store_outputs(self._attempt(slot, work, inputs), returned)
        if stored.body is not None:
            check_references(work, stored.outputs)
            return stored.outputs, stored.body
        outputs = check_outputs(work, stored.outputs)
        return outputs, self._executor.store.encoded_outputs(outputs)

    def _attempt(self, slot: int, work: OperatorWork, inputs: Mapping[str, StoredValue]) -> NodeAttempt:
        return NodeAttempt(work, inputs, self._machine.name(slot), self._machine.attempts[slot])
