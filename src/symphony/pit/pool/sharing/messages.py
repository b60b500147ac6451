"""What processes say to the owner of the pool: the values of requests to `pit.pool`, and their answers. Pure.

Inputs, configuration and outputs travel as bytes, packed once: the bus carries them without looking inside.
"""

from typing import Final, TypeVar

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.ports.values import Value

POOL: Final = "pit.pool"
"""The endpoint of the owner, and the prefix of the topics of its events."""
LOCK: Final = "pit.pool.lock"
"""The lock of the owner, a file in the folder `run` of the home."""
INVOKE, HOLD, HOLDS, KEEP, RELEASE = "invoke", "hold", "holds", "keep", "release"
FORESEE, STATUS, WARM, UNLOAD = "foresee", "status", "warm", "unload"

M = TypeVar("M", bound=msgspec.Struct)


class PoolDiffers(SymphonyError):
    """The owner of the pool has another version of the model, or cannot make it from what it was told."""

    code = "pool-differs"


class ModelWanted(msgspec.Struct, frozen=True, kw_only=True):
    """A model as all processes name it: the same name with two fingerprints means two models.

    `settings` are those that the model's process is made of; the owner makes its command line itself.
    """

    model: str
    fingerprint: str
    settings: bytes


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    """What a process says to a new owner: for each of its runs, the models needed and in how many stages."""

    pid: int
    needs: dict[str, list[tuple[ModelWanted, int]]]


class InvokeCall(msgspec.Struct, frozen=True, kw_only=True):
    """Ask a model. The answer is its output ports, packed.

    `call` is chosen by the process that asks: if it asks again because the answer was lost on its way,
    it gets that of the call that is under way.
    """

    call: str
    wanted: ModelWanted
    inputs: bytes
    config: bytes
    run: str | None = None
    priority: int = 0


class HoldCall(msgspec.Struct, frozen=True, kw_only=True):
    """Lease a model until `release`, or until the process that asks is gone. `lease` is its own choice.

    The answer is the answer of the model's process to an empty call, packed.
    """

    wanted: ModelWanted
    lease: str
    run: str | None = None
    priority: int = 0


class KeepCall(msgspec.Struct, frozen=True, kw_only=True):
    """Keep models loaded, all of them or none, until each is released: what is `wanted`, by lease.

    The answer is a `KeepAnswer`.
    """

    wanted: dict[str, ModelWanted]
    run: str | None = None
    priority: int = 0


class KeepAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The models are loaded. `warmed_ms`: how long the request for each waited for that, by its lease."""

    warmed_ms: dict[str, float]


class ReleaseCall(msgspec.Struct, frozen=True, kw_only=True):
    """A lease is over, or no longer wanted."""

    lease: str


class ForeseeCall(msgspec.Struct, frozen=True, kw_only=True):
    """The models that a run will need; None: the run has ended."""

    run: str
    needs: list[tuple[ModelWanted, int]] | None


class ModelCall(msgspec.Struct, frozen=True, kw_only=True):
    """Warm or unload a model."""

    wanted: ModelWanted


def value_of(message: msgspec.Struct) -> Value:
    """Return a message as a value that the bus carries."""
    value: Value = msgspec.msgpack.decode(msgspec.msgpack.encode(message))  # lists in place of tuples
    return value


def read(kind: type[M], value: Value) -> M:
    """Return the message that `value` spells. Raises PoolDiffers: the other process is of another version."""
    try:
        return msgspec.convert(value, kind, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise PoolDiffers(f"the owner of the pool does not understand the request: {error}") from error
