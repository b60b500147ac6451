"""Joins the bus of a home to those of other homes: over NATS, if the settings say so."""

import ssl
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from symphony.commons.errors import ConfigInvalid, SymphonyError
from symphony.commons.secrets import Secret
from symphony.commons.settings import BusConfig

if TYPE_CHECKING:
    from symphony.bus.exchange import Beyond, Exchange


class NatsNotInstalled(SymphonyError):
    """The settings name a NATS server, but the client library is not installed."""

    code = "nats-not-installed"


def beyond_of(config: BusConfig, environment: Mapping[str, str]) -> "Callable[[Exchange], Beyond] | None":
    """Return what joins a hub to the buses beyond its home; None if the settings name none.

    Raises NatsNotInstalled, ConfigInvalid for a variable or a file that is not there. Reads files and
    imports: for a thread, where a loop runs.
    """
    if config.nats is None:
        return None
    token, nkey = _secret("token", config.token, environment), _secret("nkey", config.nkey, environment)
    tls = _tls(config) if config.encrypted else None
    try:
        from symphony.bus.adapters.nats_bridge import Bridge
        from symphony.bus.adapters.nats_connection import NatsConfig, NKey
    except ImportError as error:
        from symphony.commons import installation

        raise NatsNotInstalled(
            "bus.nats is set, and the client for NATS is not installed", hint=installation.adding("nats")
        ) from error
    if nkey is not None:
        NKey(nkey)  # an invalid seed is reported now
    found = NatsConfig(servers=config.servers, prefix=config.prefix, token=token, nkey_seed=nkey, tls=tls)
    return lambda exchange: Bridge(exchange, found)


def _secret(key: str, name: str | None, environment: Mapping[str, str]) -> Secret | None:
    if name is None:
        return None
    if not environment.get(name):
        raise ConfigInvalid(
            f"bus.{key} names the variable {name}, which is not set",
            details={"key": f"bus.{key}"},
            hint=f"set {name} where this command runs",
        )
    return Secret(environment[name])


def _tls(config: BusConfig) -> ssl.SSLContext:
    try:
        found = ssl.create_default_context(cafile=config.ca)
        if config.cert is not None:
            found.load_cert_chain(config.cert, config.cert_key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigInvalid(
            f"the certificates of bus.ca, bus.cert and bus.cert_key cannot be read: {error}",
            hint="name PEM files that this user may read",
        ) from error
    return found
