"""The errors of the bus."""

from symphony.commons.errors import SymphonyError


class EndpointTaken(SymphonyError):
    """Another endpoint has this name."""

    code = "endpoint-taken"


class EndpointUnknown(SymphonyError):
    """Nobody has this name, or serves this type of message."""

    code = "endpoint-unknown"


class EndpointLost(SymphonyError):
    """The endpoint vanished before it answered: what was asked may or may not have been done."""

    code = "endpoint-lost"


class EndpointBusy(SymphonyError):
    """The endpoint has as many requests as it takes at once. Nothing was done."""

    code = "endpoint-busy"


class RequestTimedOut(SymphonyError):
    """No answer in time. What was asked may or may not have been done; the endpoint was told to stop."""

    code = "request-timed-out"


class MailboxOverflowed(SymphonyError):
    """The mailbox was full, and its policy is to be closed then."""

    code = "mailbox-overflowed"


class MailboxClosed(SymphonyError):
    """Nothing more will arrive."""

    code = "mailbox-closed"


class SenderUnknown(SymphonyError):
    """The sender is unknown to the bus. Nothing was done."""

    code = "sender-unknown"


RAISED: dict[str, type[SymphonyError]] = {
    kind.code: kind for kind in (EndpointUnknown, EndpointLost, EndpointBusy, RequestTimedOut, SenderUnknown)
}
"""Errors that may come from another process, and are raised here with their own class."""
