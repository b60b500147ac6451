"""The message bus: requests find their endpoint, events their subscribers, replies their request.

What joins other processes is loaded when it is first used: within one process none of it is needed.
"""

from typing import TYPE_CHECKING

from symphony.bus.bus import Bus
from symphony.bus.core.mailbox import Policy
from symphony.bus.core.retention import Replay
from symphony.bus.core.router import Subscription
from symphony.bus.endpoint import Endpoint, Handler
from symphony.bus.errors import (
    EndpointBusy,
    EndpointLost,
    EndpointTaken,
    EndpointUnknown,
    MailboxClosed,
    MailboxOverflowed,
    RequestTimedOut,
)
from symphony.bus.mailboxes import Mailbox

if TYPE_CHECKING:
    from symphony.bus.joining import Joined, join

__all__ = [
    "Bus",
    "Endpoint",
    "EndpointBusy",
    "EndpointLost",
    "EndpointTaken",
    "EndpointUnknown",
    "Handler",
    "Joined",
    "Mailbox",
    "MailboxClosed",
    "MailboxOverflowed",
    "Policy",
    "Replay",
    "RequestTimedOut",
    "Subscription",
    "join",
]


def __getattr__(name: str) -> object:
    if name not in ("Joined", "join"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from symphony.bus import joining

    found: object = getattr(joining, name)
    globals()[name] = found
    return found
