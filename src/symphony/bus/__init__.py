"""The message bus: requests find their endpoint, events their subscribers, replies their request."""

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
from symphony.bus.joining import Joined, join
from symphony.bus.mailboxes import Mailbox

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
