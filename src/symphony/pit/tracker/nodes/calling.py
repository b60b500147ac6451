"""Calls a node's operator or model: on the loop, in a thread, or in a worker process."""

import asyncio
import contextvars
import warnings
from collections.abc import Mapping
from concurrent.futures import Executor as Pool
from typing import TYPE_CHECKING

from symphony.commons.deadline import within
from symphony.commons.environment import withholding
from symphony.pit.tracker.nodes.apart import apart
from symphony.pit.tracker.nodes.attempt import NodeAttempt
from symphony.pit.tracker.nodes.contexts import Contexts
from symphony.pit.tracker.nodes.failures import bound_s, too_late
from symphony.pit.tracker.nodes.resources import RunResources
from symphony.pit.tracker.nodes.sizes import quickly_seen, quickly_told
from symphony.pit.tracker.nodes.spending import Meter
from symphony.pit.tracker.nodes.storing import ValueStore
from symphony.pit.tracker.nodes.work import CallWork, ModelWork, OperatorWork, settings
from symphony.ports.values import Value
from symphony.sdk.sizes import ports_of

if TYPE_CHECKING:
    from symphony.pit.workers import Task

_NO_WORKER = (
    "runs in a thread, where it shares one core and cannot be ended: another process cannot find it. "
    "Define it at the top of a module, or of a file named as operators=[...]"
)


class AttemptCalls:
    """Calls operators and models within the attempt's time. Use from the run's loop."""

    def __init__(self, resources: RunResources, store: ValueStore, contexts: Contexts) -> None:
        self._resources, self._store, self._contexts = resources, store, contexts

    async def call(self, attempt: NodeAttempt, plain: Mapping[str, Value], pool: Pool) -> Mapping[str, Value]:
        """Make one call within its time; `plain` holds the attempt's inputs, loaded.

        The attempt's grant is given back when the call is over.

        Raises SymphonyError `timeout`, and whatever the operator raises.
        """
        work = attempt.work
        try:
            if (task := self._task(attempt, plain)) is not None:
                return await self._in_worker(task, work)
            if work.timeout_s is None:
                return await self._here(attempt, plain, pool)
            limit: asyncio.Timeout | None = None
            try:
                async with within(work.timeout_s) as limit:
                    return await self._here(attempt, plain, pool)
            except TimeoutError as error:
                if limit is not None and limit.expired():
                    raise too_late(work) from error
                raise
        finally:
            attempt.release()

    async def _in_worker(self, task: "Task", work: CallWork) -> Mapping[str, Value]:
        assert self._resources.workers is not None
        times_s = [limit for limit in (work.timeout_s, bound_s(work, task.inputs)) if limit is not None]
        limit_s = min(times_s, default=None)
        try:
            sink = self._contexts.sink(task.node)
            return await self._resources.workers().call(task, sink, timeout_s=limit_s)
        except TimeoutError as error:
            raise too_late(work, limit_s) from error

    async def _here(
        self, attempt: NodeAttempt, plain: Mapping[str, Value], pool: Pool
    ) -> Mapping[str, Value]:
        """Make the call in this process: ask a model, run a coroutine, or use a thread."""
        work, node, loop = attempt.work, attempt.node, asyncio.get_running_loop()
        if isinstance(work, ModelWork):
            assert attempt.config is not None
            assert attempt.meter is not None
            config = await loop.run_in_executor(pool, self._store.all_plain, attempt.config)
            with withholding(self._contexts.withheld(work)):
                return await self._ask(work.model, plain, config, attempt.meter)
        operator = work.operator
        stopped = False
        told = ports_of(operator, node, self._resources.value_bytes_max)

        def arguments() -> dict[str, object]:
            return self._contexts.arguments(attempt, plain, lambda: stopped)

        async def called() -> Mapping[str, Value]:
            quick = all(map(quickly_seen, plain.values()))
            given = arguments() if quick else await loop.run_in_executor(pool, arguments)
            returned: object = await operator.function(**given)  # type: ignore[misc]
            if quickly_told(returned):
                return told(returned)
            return await loop.run_in_executor(pool, told, returned)

        with self._resources.capture(self._contexts.sink(node)), self._contexts.around(work, node):
            if operator.style != "thread":
                return await apart(called, node)
            context = contextvars.copy_context()
            future = loop.run_in_executor(
                pool, lambda: context.run(lambda: told(operator.function(**arguments())))
            )
            try:
                return await future
            except asyncio.CancelledError:
                stopped = True
                raise

    async def _ask(
        self, model: str, inputs: Mapping[str, Value], config: Mapping[str, Value], meter: Meter
    ) -> Mapping[str, Value]:
        try:
            return await apart(lambda: self._resources.models.invoke(model, inputs, config, meter), model)
        finally:
            meter.close()

    def _task(self, attempt: NodeAttempt, plain: Mapping[str, Value]) -> "Task | None":
        """Return the call as a task for a worker process; None if it does not need a worker."""
        resources, work, node = self._resources, attempt.work, attempt.node
        if not isinstance(work, OperatorWork):
            return None
        operator = work.operator
        if operator.style != "thread" or resources.workers is None:
            return None
        bounds = operator.bounds if operator.bounds is not None and operator.bounds.heavy(plain) else None
        if not operator.cpu and work.timeout_s is None and bounds is None:
            return None
        from symphony.pit.workers import Task
        from symphony.sdk.origins import origin_of, source_of

        origin = origin_of(operator)
        if origin is None:
            resources.log(node, f"{operator.info.name} {_NO_WORKER}", "stderr")
            warnings.warn(f"{operator.info.name} {_NO_WORKER}", RuntimeWarning, stacklevel=1)
            return None
        return Task(
            origin=origin,
            source=source_of(origin),
            operator=operator.info.name,
            fingerprint=operator.fingerprint,
            listens=operator.context_name is not None and bounds is None,
            inputs=plain,
            run_id=resources.run_id,
            marks=resources.marks,
            node=node,
            attempt=attempt.number,
            cwd=resources.cwd,
            base=work.base or resources.base,
            environment=resources.environment,
            config=settings(work),
            allowed_hosts=resources.allowed_hosts,
            memory_mb=None if bounds is None else bounds.memory_mb,
            repeatable=operator.info.effect != "write",
            value_bytes_max=resources.value_bytes_max,
        )
