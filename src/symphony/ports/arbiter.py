"""The arbitration seam: a step asks before it uses what is scarce, and gives it back afterwards."""

from typing import Literal, Protocol

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.ports.models import Estimate


class ResourceRefused(SymphonyError):
    """The request can never be granted, for example because it needs more memory than there is."""

    code = "resource-refused"


class ResourceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt of a step needs, and for whom."""

    run: str
    """The run's id."""
    node: str
    """The step's full name, such as `parse[3]`."""
    resource: str
    """The name of the operator or model that the step uses."""
    kind: Literal["operator", "model"] = "operator"
    user: str = ""
    """The user whose run it is; empty if not known."""
    project: str = ""
    """The project that the run belongs to; empty if not known."""
    priority: int = 0
    """The run's priority: a higher one goes first."""
    cores: float = 1.0
    """The share of the processor that it needs; 0 for a step that only waits for others."""
    memory_bytes: int = 0
    estimate: Estimate | None = None
    """The most that a model's request may use up, if known."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """The permission to use a resource, until it is released. `id` is unique within the arbiter."""

    id: str
    request: ResourceRequest
    reason: str
    """Why it was granted then, in words for people."""
    waited_s: float = 0.0
    """How long the request waited, in seconds."""


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request has to wait, as of now."""

    reason: str
    """In words for people, such as "all 2 places of minilm are taken"."""
    before: int = 0
    """The number of requests that wait and come before it, as far as is known."""


class Arbiter(Protocol):
    """Grants scarce resources. Call on the loop. Every arbiter passes tests/contracts/test_arbiter.py."""

    def limits(self, request: ResourceRequest) -> bool:
        """Return whether anything that the request needs is limited; if not, it need not ask. No I/O."""
        ...

    def try_acquire(self, request: ResourceRequest) -> Grant | None:
        """Return a grant if the request need not wait, else None. Called for every attempt: O(1), no I/O.

        Raises ResourceRefused if the request can never be granted.
        """
        ...

    def queued(self, request: ResourceRequest) -> Queued:
        """Return why the request has to wait now, or is waiting already; changes nothing.

        Called for every attempt that waits: no I/O, and no work that grows with the number of requests.
        """
        ...

    async def acquire(self, request: ResourceRequest) -> Grant:
        """Wait for a grant. Cancelling gives up the place in the queue, and keeps no grant.

        Raises ResourceRefused if the request can never be granted.
        """
        ...

    def release(self, grant: Grant) -> None:
        """Give back what was granted. Releasing a grant again does nothing."""
        ...
