"""The errors of connections."""

from symphony.commons.errors import SymphonyError


class ConnectionLost(SymphonyError):
    """The connection broke: messages that were on their way may or may not have arrived."""

    code = "connection-lost"


class ConnectionClosed(SymphonyError):
    """The other side has said that no message will follow, or this side has closed."""

    code = "connection-closed"

    def __init__(self, message: str = "no message will follow") -> None:
        super().__init__(message)


class ConnectFailed(SymphonyError):
    """Nobody answers at an address, or not in time."""

    code = "connect-failed"


class AddressInUse(SymphonyError):
    """Somebody is listening at an address already."""

    code = "address-in-use"


class PeerRefused(SymphonyError):
    """The other side may not connect: another user's, or one too many."""

    code = "peer-refused"


class TransportUnsupported(SymphonyError):
    """This system cannot speak over that transport."""

    code = "not-supported"
