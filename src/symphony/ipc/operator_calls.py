"""The messages between a worker's process and its supervisor: MessagePack. No I/O.

The supervisor begins with `Setup`, which the worker answers with `WorkerReady`. Then each `Load` gets
`Loaded` or a `Failed`, and each `OperatorCall` one `Done` or `Failed` with its id, in the order in
which they were sent. `Recall` takes those back that have not begun, which `Recalled` counts: they are
the last that were sent. After an answer that is not `alone` the worker begins nothing more.
"""

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from symphony.commons.errors import SerializationFailed
from symphony.commons.integers import INTEGER_MAX
from symphony.ports.values import Value


class ModuleOrigin(msgspec.Struct, frozen=True, tag="module"):
    """Operators of a module that can be imported."""

    module: str


class FileOrigin(msgspec.Struct, frozen=True, tag="file"):
    """Operators of a file that was loaded by its path. `digest` is that of path and source."""

    file: str
    digest: str


Origin: TypeAlias = ModuleOrigin | FileOrigin


class Setup(msgspec.Struct, frozen=True, tag="setup"):
    """The import path for the worker: the supervisor's own.

    `mark` is what it writes to standard output and to standard error after each call.
    """

    path: list[str]
    mark: bytes


class Load(msgspec.Struct, frozen=True, tag="load"):
    """Load the operators of `origin`. `source`, of a file, as it was when the supervisor read it."""

    origin: Origin
    source: bytes | None = None


class OperatorCall(msgspec.Struct, frozen=True, tag="call", kw_only=True):
    """Run an operator of an origin that is loaded. `id` ascends.

    `fingerprint` is that of the code which the supervisor knows under the operator's name. From
    `run_id` on come the fields of the operator's context, how many MiB of memory it may use,
    and how many bytes what it returns may take.
    """

    id: int
    origin: Origin
    operator: str
    fingerprint: str
    inputs: Mapping[str, object]
    run_id: str
    node: str
    attempt: int
    cwd: str
    base: str
    environment: Mapping[str, str]
    config: Mapping[str, object] = {}
    allowed_hosts: tuple[str, ...] = ()
    memory_mb: int | None = None
    value_bytes_max: int = INTEGER_MAX
    folder: bytes = b""
    """Where the supervisor is: paths that name no folder are looked for there. Empty if it is gone."""


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Call `id` is not wanted any more: its context says so from now on."""

    id: int


class Recall(msgspec.Struct, frozen=True, tag="recall"):
    """Begin none of the calls that wait: they are for others."""


class WorkerReady(msgspec.Struct, frozen=True, tag="ready"):
    """The worker takes calls."""


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """The operators are there."""


class Done(msgspec.Struct, frozen=True, tag="done", kw_only=True):
    """The output ports of call `id`, and what it took. `alone`: it left no process running."""

    id: int
    outputs: dict[str, object]
    seconds: float = 0.0
    alone: bool = True


class Failed(msgspec.Struct, frozen=True, tag="failed", kw_only=True):
    """Call `id`, or loading (0), failed; `alone` as in `Done`."""

    id: int
    code: str
    message: str
    hint: str | None = None
    details: dict[str, object] = {}
    alone: bool = True


class Recalled(msgspec.Struct, frozen=True, tag="recalled"):
    """The last `count` calls that were sent have not begun, and never will here."""

    count: int


ToWorker: TypeAlias = Setup | Load | OperatorCall | Stop | Recall
FromWorker: TypeAlias = WorkerReady | Loaded | Done | Failed | Recalled

_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def encode(message: ToWorker | FromWorker) -> bytes:
    """Return `message` as bytes.

    Raises SerializationFailed for something that is not a `Value`: a surrogate in a string, an integer
    beyond 64 bits, an object.
    """
    try:
        return _encoder.encode(message)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise SerializationFailed(f"a value cannot be sent to another process: {error}") from error


def for_worker(body: bytes | memoryview) -> ToWorker:
    """Return a message for the worker. Raises SerializationFailed."""
    try:
        return _to_worker.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise SerializationFailed(f"a message to a worker is broken: {error}") from error


def from_worker(body: bytes | memoryview) -> FromWorker:
    """Return a message for the supervisor. Raises SerializationFailed."""
    try:
        return _from_worker.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise SerializationFailed(f"a message from a worker is broken: {error}") from error


def ports_of(done: Done) -> dict[str, Value]:
    """Its outputs: whatever MessagePack decodes to is a value."""
    outputs: dict[str, Value] = done.outputs  # type: ignore[assignment]  # see the docstring
    return outputs
