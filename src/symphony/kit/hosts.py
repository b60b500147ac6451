"""The list of hosts that may be contacted. Everything that the list does not name is denied. Pure.

A pattern is a host (`api.example.org`), all hosts below one (`*.example.com`), an address (`127.0.0.1`,
`[::1]`) or a network (`10.0.0.0/8`). All but a network may have a port; without one, the scheme's default
port is meant. An address that is not public (loopback, private, link-local and so on) may be reached only if
the list names it by address, by network or as `localhost`. A listed name that resolves to it is not enough.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from symphony.commons.cutting import beginning
from symphony.commons.errors import SymphonyError

PORTS: Final = {"http": 80, "https": 443}
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_PATTERN: Final = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^:/\[\]@\s]+)(?::(?P<port>[0-9]{1,5}))?")

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class HostRefused(SymphonyError):
    """A request would go to a host or an address that the configuration does not allow."""

    code = "host-not-allowed"


@dataclass(frozen=True, slots=True)
class HostRule:
    """One pattern. `below` stands for the hosts below `host`, not `host` itself."""

    host: str = ""
    below: bool = False
    port: int | None = None
    network: Network | None = None

    def names(self, host: str, port: int, usual: int) -> bool:
        """True if the rule allows this host by its name."""
        if port != (usual if self.port is None else self.port):
            return False
        return host.endswith("." + self.host) if self.below else host == self.host

    def holds(self, address: Address, port: int, usual: int) -> bool:
        """True if the rule allows this address."""
        if self.network is not None:
            return address.version == self.network.version and address in self.network
        return not self.below and self.host == str(address) and self.names(self.host, port, usual)


@dataclass(frozen=True, slots=True)
class Allowed:
    """The parsed list."""

    rules: tuple[HostRule, ...] = ()

    @classmethod
    def of(cls, patterns: Sequence[str]) -> "Allowed":
        """Parse the patterns. Raises ValueError, naming the pattern, if one is malformed."""
        return cls(tuple(_rule(pattern) for pattern in patterns))

    def check_host(self, scheme: str, host: str, port: int | None) -> None:
        """Raise HostRefused unless the list names the host."""
        usual = PORTS[scheme]
        wanted = usual if port is None else port
        address = address_of(host)
        named = any(rule.names(host_name(host), wanted, usual) for rule in self.rules)
        if not named and not (address and any(rule.holds(address, wanted, usual) for rule in self.rules)):
            shown = f"[{host}]" if ":" in host else host
            entry = shown if wanted == usual else f"{shown}:{wanted}"
            raise HostRefused(
                f"{shown}, port {wanted}, is not among the hosts that may be asked",
                hint=f'allow it: [http] allow = ["{entry}"] in config.toml, or --allow-host {entry}',
            )

    def check_address(self, scheme: str, host: str, port: int | None, address: Address) -> None:
        """Raise HostRefused for an address that is neither public nor listed. Call `check_host` first."""
        plain = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        address = plain or address
        if address.is_global and not address.is_multicast:
            return
        usual = PORTS[scheme]
        wanted = usual if port is None else port
        name = host_name(host)
        if address.is_loopback and (name == "localhost" or name.endswith(".localhost")):
            return
        if not any(rule.holds(address, wanted, usual) for rule in self.rules):
            raise HostRefused(
                f"{host} leads to {address}, which is not a public address",
                hint=f'list the address itself if that is meant: --allow-host "{address}"',
            )


def host_name(host: str) -> str:
    """Return a host in the form that is compared: lower case, ASCII (IDNA), without a final dot."""
    host = host.strip("[]").rstrip(".").lower()
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return host


def address_of(host: str) -> Address | None:
    """Return the host as an address, or None for a name."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _rule(pattern: str) -> HostRule:
    text = pattern.strip()
    if "/" in text:
        try:
            return HostRule(network=ipaddress.ip_network(text))
        except ValueError as error:
            raise ValueError(f"{beginning(pattern, 80)!r}: {error}") from None
    if text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"
    match = _PATTERN.fullmatch(text)
    port = int(match["port"]) if match and match["port"] else None
    if match is None or (port is not None and not 0 < port < 65_536):
        raise ValueError(
            f"{beginning(pattern, 80)!r} is not a host: write one like api.example.org or *.example.com:8443"
        )
    address = address_of(match["host"])
    if address is not None:
        return HostRule(host=str(address), port=port)
    below = match["host"].startswith("*.")
    host = host_name(match["host"].removeprefix("*."))
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise ValueError(
            f"{beginning(pattern, 80)!r} is not a host: "
            "a * may stand only for all before a name, as in *.example.com"
        )
    if below and "." not in host and host != "localhost":
        raise ValueError(f"{beginning(pattern, 80)!r} would allow a whole top-level domain")
    return HostRule(host=host, below=below, port=port)
