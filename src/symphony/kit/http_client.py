"""Connections of `http.*`: names looked up once and checked, addresses tried in turn, nothing remembered.

Nothing travels from one request to the next: there is no jar for cookies, no proxy and no password
file of the environment, and no connection is used twice, which a redirect to another name at the same
address would otherwise enter without a look at its certificate.
"""

import asyncio
import functools
import ipaddress
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Final

from symphony.commons.errors import SymphonyError
from symphony.kit.hosts import Address, Allowed, address_of

if TYPE_CHECKING:
    import ssl
    from http.cookiejar import CookieJar

    import httpx2

CONNECT_S: Final = 2.5
"""Seconds for each address of a name but the last one."""
PIECES_AT_ONCE: Final = 16
"""Pieces or events of a body that are read before others get their turn."""


class HttpFailed(SymphonyError):
    """No response came, or one that reports a failure. `details`: `status`, if there is one."""

    code = "http-failed"


class Unanswered(HttpFailed):
    """No response came, or only a part. Trying again may help."""


@asynccontextmanager
async def client(seconds: float) -> "AsyncIterator[httpx2.AsyncClient]":
    """A client for one request and its redirects."""
    import httpx2

    async with httpx2.AsyncClient(
        trust_env=False,  # a proxy of the environment would resolve the names itself, unchecked
        verify=await asyncio.to_thread(_trusted),
        timeout=max(seconds, 0.001),
        follow_redirects=False,
        limits=httpx2.Limits(max_keepalive_connections=0),
        cookies=no_cookies(),
    ) as found:
        yield found


@functools.cache
def _trusted() -> "ssl.SSLContext":
    """Return the authorities that are trusted. To read them takes as long as a hundred small requests."""
    import httpx2

    return httpx2.create_ssl_context(trust_env=False)


def no_cookies() -> "CookieJar":
    """Return a cookie jar that accepts and sends no cookies."""
    from http.cookiejar import CookieJar, DefaultCookiePolicy  # slow to import

    return CookieJar(DefaultCookiePolicy(allowed_domains=()))


def patience(seconds: float, *, left: int) -> "httpx2.Timeout":
    """Return how long to wait for one address, so that the `left` others get their turn."""
    import httpx2

    whole = max(seconds, 0.001)
    return httpx2.Timeout(whole, connect=min(CONNECT_S, whole / (left + 1)) if left else whole)


async def resolved(url: "httpx2.URL", allowed: Allowed) -> list[str]:
    """Return all addresses of the host, in the order of trying; every one must be allowed.

    The two families take turns, beginning with the one that the system prefers (RFC 8305, section 4).
    Raises HostRefused, HttpFailed.
    """
    literal = address_of(url.host)
    if literal is not None:
        found: list[Address] = [literal]
    else:
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(
                url.host, url.port or (443 if url.scheme == "https" else 80), type=socket.SOCK_STREAM
            )
        except (OSError, UnicodeError) as error:
            raise HttpFailed(
                f"{url.host} is not known: {getattr(error, 'strerror', None) or error}",
                hint="check the address, and the network",
            ) from error
        found = [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in infos]
    for address in found:
        allowed.check_address(url.scheme, url.host, url.port, address)
    return in_turn(found)


def in_turn(addresses: Sequence[Address]) -> list[str]:
    """Return each address once, families alternating, the first one's first."""
    different = list(dict.fromkeys(addresses))
    first = [one for one in different if one.version == different[0].version]
    others = [one for one in different if one.version != different[0].version]
    return [str(one) for one in chain.from_iterable(zip_longest(first, others)) if one is not None]


async def numbered(pieces: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes]]:
    """`enumerate`, from 1."""
    number = 0
    async for piece in pieces:
        number += 1
        yield number, piece
