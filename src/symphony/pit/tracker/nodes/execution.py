"""Runs one node's operator or model: types checked, results cached, large values stored."""

import asyncio
import contextlib
import contextvars
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor as Pool
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from symphony.commons.deadline import within
from symphony.commons.environment import withholding
from symphony.commons.marks import NODE_VARIABLE, marking
from symphony.commons.raised import brief, error_text
from symphony.pit.artifacts.codec import body_of, decode_sealed, encode_value, value_digest, value_of
from symphony.pit.artifacts.keys import cache_key
from symphony.pit.artifacts.sealed import SealedValue, hidden
from symphony.pit.tracker.core.changes import Base
from symphony.pit.tracker.core.records import ErrorTuple
from symphony.pit.tracker.nodes.apart import apart
from symphony.pit.tracker.nodes.caching import Cache, CacheHit
from symphony.pit.tracker.nodes.checking import check_inputs, check_outputs
from symphony.pit.tracker.nodes.failures import NotStored, bound_s, too_late
from symphony.pit.tracker.nodes.limits import HEAVY_STEPS, VALUE_BYTES_MAX, bounded
from symphony.pit.tracker.nodes.reading import Seen, contents_read, lasting, same_code, surroundings
from symphony.pit.tracker.nodes.sealing import SEALED, NoSecrets, Sealer
from symphony.pit.tracker.nodes.sizes import large, quickly_seen, quickly_told, surely_small
from symphony.pit.tracker.nodes.spending import Meter, Spending
from symphony.pit.tracker.nodes.tokens import TokenStream
from symphony.pit.tracker.nodes.work import COMMAND, Work, artifact_name, settings, variables_read
from symphony.ports.arbiter import Arbiter
from symphony.ports.artifacts import ArtifactCorrupt, ArtifactMissing, ArtifactStore, Provenance, StorageFull
from symphony.ports.clock import Clock
from symphony.ports.models import Models, Usage
from symphony.ports.values import ArtifactRef, StoredValue, Value
from symphony.sdk import Context, LogSink
from symphony.sdk.sizes import ports_of
from symphony.workflow.model import CommandNode

if TYPE_CHECKING:
    from symphony.pit.workers import Task, Workers

THREADS = min(32, (os.cpu_count() or 1) * 4)
_NO_WORKER = (
    "runs in a thread, where it shares one core and cannot be ended: another process cannot find it. "
    "Define it at the top of a module, or of a file named as operators=[...]"
)

CONTENT_TYPES = {
    "text": "text/plain; charset=utf-8",
    "bytes": "application/octet-stream",
    "msgpack": "application/msgpack",
}


class LogWriter(Protocol):
    """Takes what nodes print and models say."""

    def __call__(self, node: str, text: str, stream: Literal["stdout", "stderr", "tokens"]) -> None: ...


@dataclass(frozen=True, slots=True)
class Finished:
    """What a node gave, and what its models used; `cached_from` is the run that a cache hit came from."""

    outputs: Mapping[str, StoredValue]
    cached_from: str | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """What an attempt that asks a model has beside its inputs."""

    meter: Meter
    config: Mapping[str, StoredValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Executor:
    """Everything outside the run that its nodes use."""

    run_id: str
    cwd: Path
    base: Path
    artifacts: ArtifactStore
    models: Models
    arbiter: Arbiter
    clock: Clock
    log: LogWriter
    cache: Cache | None = None
    sealer: Sealer = field(default_factory=NoSecrets)
    spending: Spending = field(default_factory=Spending)
    capture: Callable[
        [Callable[[str, Literal["stdout", "stderr"]], None]], contextlib.AbstractContextManager[None]
    ]
    environment: Mapping[str, str] = field(default_factory=dict)
    """The listed variables, also those that the process itself does not have."""
    keys: frozenset[str] = frozenset()
    """Variables that hold keys of models."""
    allowed_hosts: tuple[str, ...] = ()
    """Hosts that operators may ask over HTTP."""
    value_bytes_max: int = VALUE_BYTES_MAX
    """How large any one value may be."""
    threads: int = THREADS
    marks: Mapping[str, str] = field(default_factory=dict)
    """What the processes of the run carry in their environment."""
    workers: "Callable[[], Workers] | None" = None
    """Where operators run that compute for long or have a timeout; made at first use."""
    expressions: "Callable[[], Workers] | None" = None
    """Where heavy expressions are evaluated. Operators never keep them waiting."""
    heavy_steps: int = HEAVY_STEPS
    """An expression is heavy that may take more: a step is about a microsecond."""

    # ---- running --------------------------------------------------------------------------

    def meter(self, node: str, told: Callable[[str], None]) -> Meter:
        """For one attempt of a node that asks a model; `told` gets what it writes, secrets hidden."""

        def tell(text: str) -> None:
            self.log(node, text, "tokens")
            told(text)

        return Meter(self.spending, node, TokenStream(self.sealer.stream(), tell))

    async def execute(
        self,
        work: Work,
        inputs: Mapping[str, StoredValue],
        node: str,
        attempt: int,
        pool: Pool,
        asking: "Asking | None" = None,
        *,
        base: Base | None = None,
    ) -> Finished:
        """Run one attempt, or take the result of an earlier run. Raises whatever it raises.

        `base`: of the round that the node runs in; outputs that add little to it need no store.
        """
        loop = asyncio.get_running_loop()
        key, seen = None, Seen()
        config = None if asking is None else asking.config
        if all(map(quickly_seen, inputs.values())):
            may_keep = self._checked(work, inputs, config)
        else:
            may_keep = await loop.run_in_executor(pool, self._checked, work, inputs, config)
        if may_keep:
            key = await loop.run_in_executor(pool, self.result_key, work, inputs, node, attempt, config, seen)
            hit = None if key is None else await loop.run_in_executor(pool, self._hit, key)
            if hit is not None:
                found = await loop.run_in_executor(pool, self._taken, work, hit.outputs, node, inputs)
                return Finished(found, hit.run_id)
        # A thread only for what may take long: the way there and back costs as much as a commit.
        plain: Mapping[str, Value]
        if any(isinstance(value, ArtifactRef) for value in inputs.values()):
            plain = await loop.run_in_executor(pool, self.loaded, work, inputs)
        else:
            plain = self.all_plain(inputs)
        returned = await self._call(work, plain, node, attempt, pool, asking)
        if key is not None and not (lasting(work, seen) and same_code(work)):
            again = await loop.run_in_executor(pool, self.result_key, work, inputs, node, attempt, config)
            key = key if again == key and same_code(work) else None  # it may have read this or that
        outputs: Mapping[str, StoredValue]
        if work.node.artifact is None and all(map(surely_small, returned.values())):
            outputs = check_outputs(work, returned)
        else:
            base = base if key is None else None  # the cache would keep it whole
            outputs = await loop.run_in_executor(pool, self.store_outputs, work, returned, node, inputs, base)
        if (
            key is not None
            and self.cache is not None
            and not any(map(self.sealer.holds_secret, outputs.values()))
        ):
            name = work.model or (work.operator.info.name if work.operator else "")
            self.cache.put(
                key, operator=name, outputs=outputs, run_id=self.run_id, node=node, at=self.clock.now_s()
            )
        return Finished(outputs, usage=None if asking is None else asking.meter.total)

    def _checked(
        self, work: Work, inputs: Mapping[str, StoredValue], config: Mapping[str, StoredValue] | None
    ) -> bool:
        """May the result be kept for other runs? Raises `type-mismatch`."""
        check_inputs(work, inputs)
        if self.cache is None or not work.cacheable:
            return False
        read = (*inputs.values(), *(settings(work) if config is None else config).values())
        return not any(map(self.sealer.holds_secret, read))

    async def _call(
        self,
        work: Work,
        inputs: Mapping[str, Value],
        node: str,
        attempt: int,
        pool: Pool,
        asking: "Asking | None",
    ) -> Mapping[str, Value]:
        """One call within its time. Raises SymphonyError `timeout`, and whatever the operator raises."""
        resource = work.model or (work.operator.info.name if work.operator else node)
        await self.arbiter.acquire(self.run_id, node, resource)
        try:
            if (task := self._task(work, inputs, node, attempt)) is not None:
                return await self._in_worker(task, work)
            limit = asyncio.timeout(work.timeout_s)
            try:
                async with limit:
                    with within(work.timeout_s):
                        return await self._here(work, inputs, node, attempt, pool, asking)
            except TimeoutError as error:
                if limit.expired():
                    raise too_late(work) from error
                raise
        finally:
            self.arbiter.release(self.run_id, node, resource)

    async def _in_worker(self, task: "Task", work: Work) -> Mapping[str, Value]:
        assert self.workers is not None
        times_s = [limit for limit in (work.timeout_s, bound_s(work, task.inputs)) if limit is not None]
        limit_s = min(times_s, default=None)
        try:
            return await self.workers().call(task, self._sink(task.node), timeout_s=limit_s)
        except TimeoutError as error:
            raise too_late(work, limit_s) from error

    async def _here(
        self,
        work: Work,
        inputs: Mapping[str, Value],
        node: str,
        attempt: int,
        pool: Pool,
        asking: "Asking | None",
    ) -> Mapping[str, Value]:
        """In this process: a model's answer, a coroutine, or a thread."""
        if work.model is not None:
            assert asking is not None
            config = await asyncio.get_running_loop().run_in_executor(pool, self.all_plain, asking.config)
            with withholding(self._withheld(work)):
                return await self._ask(work.model, inputs, config, asking.meter)
        operator = work.operator
        assert operator is not None
        stopped = False
        arguments = self.arguments(work, inputs, node, attempt, lambda: stopped)

        told = ports_of(operator, node, self.value_bytes_max)

        async def called() -> Mapping[str, Value]:
            returned: object = await operator.function(**arguments)  # type: ignore[misc]
            if quickly_told(returned):
                return told(returned)
            return await asyncio.get_running_loop().run_in_executor(pool, told, returned)

        with self.capture(self._sink(node)), self._around(work, node):
            if operator.style != "thread":
                return await apart(called, node)
            context = contextvars.copy_context()
            future = asyncio.get_running_loop().run_in_executor(
                pool, lambda: context.run(lambda: told(operator.function(**arguments)))
            )
            try:
                return await future
            except asyncio.CancelledError:
                stopped = True
                raise

    @contextlib.contextmanager
    def _around(self, work: Work, node: str) -> Iterator[None]:
        """What processes that the node starts get in their environment, and what not."""
        with withholding(self._withheld(work)), marking({**self.marks, NODE_VARIABLE: node}):
            yield

    def _task(self, work: Work, inputs: Mapping[str, Value], node: str, attempt: int) -> "Task | None":
        """The call as a worker process takes it; None if it is not for a worker."""
        operator = work.operator
        if operator is None or operator.style != "thread" or self.workers is None:
            return None
        bounds = operator.bounds if operator.bounds is not None and operator.bounds.heavy(inputs) else None
        if not operator.cpu and work.timeout_s is None and bounds is None:
            return None
        from symphony.pit.workers import Task
        from symphony.sdk.origins import origin_of, source_of

        origin = origin_of(operator)
        if origin is None:
            self.log(node, f"{operator.info.name} {_NO_WORKER}", "stderr")
            warnings.warn(f"{operator.info.name} {_NO_WORKER}", RuntimeWarning, stacklevel=1)
            return None
        return Task(
            origin=origin,
            source=source_of(origin),
            operator=operator.info.name,
            fingerprint=operator.fingerprint,
            listens=operator.context_name is not None and bounds is None,
            inputs=inputs,
            run_id=self.run_id,
            marks=self.marks,
            node=node,
            attempt=attempt,
            cwd=self.cwd,
            base=work.base or self.base,
            environment=self.environment,
            config=settings(work),
            allowed_hosts=self.allowed_hosts,
            memory_mb=None if bounds is None else bounds.memory_mb,
            value_bytes_max=self.value_bytes_max,
        )

    def _sink(self, node: str) -> LogSink:
        def log(text: str, stream: Literal["stdout", "stderr"]) -> None:
            self.log(node, text, stream)

        return log

    async def _ask(
        self,
        model: str,
        inputs: Mapping[str, Value],
        config: Mapping[str, Value],
        meter: Meter,
    ) -> Mapping[str, Value]:
        try:
            return await apart(lambda: self.models.invoke(model, inputs, config, meter), model)
        finally:
            meter.close()

    def arguments(
        self,
        work: Work,
        inputs: Mapping[str, StoredValue],
        node: str,
        attempt: int,
        cancelled: Callable[[], bool],
    ) -> dict[str, object]:
        operator = work.operator
        assert operator is not None
        arguments: dict[str, object] = dict(inputs)
        if isinstance(work.node, CommandNode):
            arguments = {COMMAND: work.node.command, "environment": dict(inputs)}
        if operator.context_name is not None:
            arguments[operator.context_name] = self._context(work, node, attempt, cancelled)
        return arguments

    def _context(self, work: Work, node: str, attempt: int, cancelled: Callable[[], bool]) -> Context:
        return Context(
            run_id=self.run_id,
            node=node,
            attempt=attempt,
            cwd=self.cwd,
            base=work.base or self.base,
            log=self._sink(node),
            cancelled=cancelled,
            environment=self._shown_variables(work),
            allowed_hosts=self.allowed_hosts,
            config=settings(work),
        )

    def _shown_variables(self, work: Work) -> Mapping[str, str]:
        """The listed variables that a node may look at: a command those that its inputs read."""
        if work.operator is None or work.operator.info.name != COMMAND:
            return self.environment
        read = variables_read(work)
        return {name: value for name, value in self.environment.items() if name in read}

    def _withheld(self, work: Work) -> frozenset[str]:
        """The variables that child processes of a node do not inherit."""
        secret = self.keys.union(self.environment)
        command = work.operator is not None and work.operator.info.name == COMMAND
        return secret - variables_read(work) if command else secret

    # ---- cache ----------------------------------------------------------------------------

    def result_key(
        self,
        work: Work,
        inputs: Mapping[str, StoredValue],
        node: str,
        attempt: int,
        config: Mapping[str, StoredValue] | None,
        files: Seen | None = None,
    ) -> str | None:
        """What the node's result is cached under; None if it cannot be.

        `config` is a model's; `files` takes note of those that count.
        """
        assert self.cache is not None
        read = contents_read(work, inputs, self.cwd, self._plain, self.cache.content, files or Seen())
        around = surroundings(work, self.cwd, work.base or self.base, self.environment)
        if read is None or around is None:
            return None
        digests = {name: value_digest(value) for name, value in inputs.items()}
        digests |= {name: value_digest(place) for name, place in around.items()}
        digests |= {f"{name}:paths": value_digest([*found]) for name, found in read.items()}
        if work.operator is not None and work.operator.reads is not None:
            context = self._context(work, node, attempt, lambda: False)
            with self._around(work, node):
                seen = work.operator.reads({k: self._plain(v) for k, v in inputs.items()}, context)
            if seen is None:
                return None
            digests[":reads"] = value_digest(seen)
        name = work.model or (work.operator.info.name if work.operator else "")
        fingerprint = (
            self.models.fingerprint(work.model) if work.model else work.operator.code if work.operator else ""
        )
        if fingerprint is None:
            return None
        told = settings(work) if config is None else self.all_plain(config)
        return cache_key(name, work.version, fingerprint, told, digests)

    def _hit(self, key: str) -> CacheHit | None:
        assert self.cache is not None
        hit = self.cache.get(key)
        if hit is None:
            return None
        for value in hit.outputs.values():
            if isinstance(value, ArtifactRef) and not self.artifacts.holds(value):
                return None
        return hit

    # ---- values ---------------------------------------------------------------------------

    def load(self, ref: ArtifactRef) -> Value:
        """The value behind a reference, verified, secrets put back. Raises SecretMissing too."""
        if ref.sealed is None:
            return value_of(self.artifacts.get(ref.digest), ref.encoding)
        value = self.sealer.unseal(decode_sealed(self.artifacts.get(ref.sealed)))
        assert not isinstance(value, ArtifactRef)
        return value

    def _plain(self, value: StoredValue) -> Value:
        return self.load(value) if isinstance(value, ArtifactRef) else value

    def all_plain(self, inputs: Mapping[str, StoredValue]) -> dict[str, Value]:
        return {name: self._plain(value) for name, value in inputs.items()}

    def loaded(self, work: Work, inputs: Mapping[str, StoredValue]) -> dict[str, Value]:
        """The inputs as values, those loaded now checked against their ports: a reference cannot be.

        Raises SymphonyError `type-mismatch`.
        """
        plain = self.all_plain(inputs)
        check_inputs(work, {k: plain[k] for k, v in inputs.items() if isinstance(v, ArtifactRef)})
        return plain

    def keep_large(
        self, value: StoredValue, content_type: str | None = None, name: str | None = None
    ) -> StoredValue:
        """A reference if the value is large, else the value itself."""
        if isinstance(value, ArtifactRef) or not large(value):
            return value
        return self._put(value, content_type, name)

    def _put(self, value: Value, content_type: str | None, name: str | None) -> ArtifactRef:
        """Store a value. One with secrets has two bodies: people see `***`, the run opens the sealed one."""
        form, sealed = self.sealer.seal(value), None
        if form is not value:
            sealed = self.artifacts.put(encode_value(form), content_type=SEALED).digest
            masked = hidden(form)
            assert not isinstance(masked, ArtifactRef)
            value = masked
        body, encoding, _ = body_of(value)
        kind = content_type or CONTENT_TYPES[encoding]
        ref = self.artifacts.put(body, content_type=kind, name=name, encoding=encoding)
        return ref if sealed is None else msgspec.structs.replace(ref, sealed=sealed)

    def store_outputs(
        self,
        work: Work,
        returned: Mapping[str, Value],
        node: str,
        inputs: Mapping[str, StoredValue],
        base: Base | None = None,
    ) -> Mapping[str, StoredValue]:
        """Outputs with large and declared ones in the artifact store, linked to where they came from.

        Those that add little to `base` stay as they are. Raises NotStored where there is no room.
        """
        checked = check_outputs(work, returned)
        self.bound_outputs(checked, node)
        try:
            return self._store_each(work, checked, node, inputs, base)
        except StorageFull as error:
            raise NotStored(error) from error

    def bound_outputs(self, outputs: Mapping[str, StoredValue], node: str) -> None:
        """Raise ValueTooLarge for an output of `node` that no value may be as large as."""
        for port, value in outputs.items():
            bounded(value, f"output {port} of {node}", self.value_bytes_max)

    def _store_each(
        self,
        work: Work,
        returned: Mapping[str, Value],
        node: str,
        inputs: Mapping[str, StoredValue],
        base: Base | None,
    ) -> Mapping[str, StoredValue]:
        declared, name = work.node.artifact, artifact_name(work)
        port_of = declared.port or next(iter(returned), None) if declared else None
        out: dict[str, StoredValue] = {}
        for port, value in returned.items():
            if declared is not None and port == port_of:
                out[port] = self._put(value, declared.content_type, name)
            elif base is not None and base.difference(encode_value(self.sealer.seal(value))) is not None:
                out[port] = value
            else:
                out[port] = self.keep_large(value)
            ref = out[port]
            if isinstance(ref, ArtifactRef):
                self._link(work, ref, port, node, inputs)
        return out

    def _taken(
        self,
        work: Work,
        outputs: Mapping[str, StoredValue],
        node: str,
        inputs: Mapping[str, StoredValue],
    ) -> Mapping[str, StoredValue]:
        """Results of an earlier run as this run's: they stay when that one is deleted.

        The artifact has the name that this run gives it. Raises NotStored where there is no room.
        """
        if work.node.artifact is not None:
            return self.store_outputs(work, self.all_plain(outputs), node, inputs)
        for port, value in outputs.items():
            if isinstance(value, ArtifactRef):
                self._link(work, value, port, node, inputs)
        return outputs

    def _link(
        self, work: Work, ref: ArtifactRef, port: str, node: str, inputs: Mapping[str, StoredValue]
    ) -> None:
        provenance = Provenance(
            run_id=self.run_id,
            node=node,
            port=port,
            operator=work.operator.info.name if work.operator else work.model or "output",
            version=work.version,
            model=work.model,
            created_at=self.clock.now_s(),
            inputs={k: value_digest(v) for k, v in inputs.items() if not self.sealer.holds_secret(v)},
        )
        self.artifacts.link(ref, provenance)

    def keep_declared(
        self, work: Work, outputs: Mapping[str, StoredValue], node: str
    ) -> Mapping[str, StoredValue]:
        """Outputs that no operator made, with the one that `work` declares in the store under its name.

        Raises StorageFull where there is no room.
        """
        declared = work.node.artifact
        assert declared is not None
        port = declared.port or next(iter(outputs))
        ref = self._put(self._plain(outputs[port]), declared.content_type, artifact_name(work))
        self._link(work, ref, port, node, {})
        return {**outputs, port: ref}

    def keep_output(self, name: str, value: StoredValue, node: str = "") -> StoredValue:
        """An output of a workflow as it is recorded: a large one in the store, linked to the run.

        `node` is the sub-workflow's, or the loop's whose state the value is.
        """
        kept = self.keep_large(value)
        if isinstance(kept, ArtifactRef):
            made = Provenance(
                run_id=self.run_id, node=node, port=name, operator="output", version="",
                created_at=self.clock.now_s(),
            )  # fmt: skip
            self.artifacts.link(kept, made)
        return kept

    def seal_all(self, outputs: Mapping[str, StoredValue]) -> SealedValue:
        """The outputs as they may be written down."""
        return {name: self.sealer.seal(value) for name, value in outputs.items()}

    def unseal(self, form: SealedValue) -> dict[str, StoredValue]:
        """Recorded outputs as they were. Raises SecretMissing if a secret is not what it was.

        That includes large ones: a run does not find out in its middle that it cannot open them.
        """
        assert isinstance(form, dict)
        values = {name: self.sealer.unseal(value) for name, value in form.items()}
        for value in values.values():
            if isinstance(value, ArtifactRef) and value.sealed is not None:
                with contextlib.suppress(ArtifactMissing, ArtifactCorrupt):  # told to whoever reads it
                    self.load(value)
        return values

    def error_of(self, error: BaseException) -> ErrorTuple:
        """An error as it may be written down."""
        plain = brief(error_text(error), self.sealer.mask_cut)
        return plain.code, plain.message, plain.hint
