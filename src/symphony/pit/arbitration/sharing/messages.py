"""What processes say to the owner of the arbiter: values of requests to `pit.arbiter`, and answers. Pure."""

import os
from typing import Final, TypeVar, assert_never

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.pit.arbitration.core.supplies import Claim
from symphony.ports.arbitration import ArbiterEvent, RequestGranted, RequestRefused, RequestWaits
from symphony.ports.values import Value

ARBITER: Final = "pit.arbiter"
"""The endpoint of the owner, and the prefix of the topics of its events."""
LOCK: Final = "pit.arbiter.lock"
"""The lock of the owner, a file in the folder `run` of the home."""
HOLDERS: Final = "pit.arbiter.holders"
"""The names of the other processes that may hold something, beside the lock: a new owner waits for them."""
ACQUIRE, RELEASE, WHY, STATUS = "acquire", "release", "why", "status"

_encode, _decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder().decode
M = TypeVar("M", bound=msgspec.Struct)


class ArbiterDiffers(SymphonyError):
    """The owner of the arbiter is of another version of Symphony."""

    code = "arbiter-differs"


class HolderGreeting(msgspec.Struct, frozen=True, kw_only=True):
    """What a process says to a new owner: all that it holds."""

    held: tuple[Claim, ...] = ()


class AcquireCall(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for a grant. The answer, a `GrantAnswer`, comes when there is one."""

    claim: Claim


class GrantAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The claim is granted. `reason` in words."""

    reason: str
    waited_s: float


class ClaimIds(msgspec.Struct, frozen=True, kw_only=True):
    """Claims by their ids: those to give back, or those that wait and are asked about."""

    ids: tuple[str, ...]


class WaitAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Why claims wait, in words, and how many others want what each is short of; by id."""

    waits: dict[str, tuple[str, int]]


def value_of(message: msgspec.Struct) -> Value:
    """Return a message as a value that the bus carries."""
    value: Value = _decode(_encode(message))  # with lists in place of tuples
    return value


def topic_of(event: ArbiterEvent) -> str:
    """Return the topic of an event on the bus."""
    match event:
        case RequestWaits():
            return f"{ARBITER}.waits"
        case RequestGranted():
            return f"{ARBITER}.granted"
        case RequestRefused():
            return f"{ARBITER}.refused"
        case _:
            assert_never(event)


def told(event: ArbiterEvent) -> Value:
    """Return what is said of an event on the bus."""
    found = value_of(event)
    assert isinstance(found, dict)
    return {**found, "pid": os.getpid()}


def read(kind: type[M], value: Value) -> M:
    """Return the message that `value` spells. Raises ArbiterDiffers."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ArbiterDiffers(f"the other process is of another version of Symphony: {error}") from error
