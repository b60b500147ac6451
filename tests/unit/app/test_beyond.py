"""How a home is joined to others: what the settings may say."""

import pytest

from symphony.app.beyond import beyond_of
from symphony.commons.config import load_config
from symphony.commons.errors import ConfigInvalid
from symphony.commons.settings import BusConfig


def of(**keys: str) -> BusConfig:
    return load_config(variables={f"SYMPHONY__BUS__{key.upper()}": value for key, value in keys.items()}).bus


def test_nothing_set_joins_nothing() -> None:
    assert beyond_of(BusConfig(), {}) is None
    assert beyond_of(of(prefix="other", token="T"), {}) is None


@pytest.mark.parametrize(
    "keys",
    [
        {"nats": "nats://127.0.0.1:4222"},
        {"nats": "nats://[::1]:4222, nats://b.example.org"},
        {"nats": "nats://localhost", "token": "T"},
        {"nats": "tls://nats.example.org:4222", "token": "T"},
    ],
)
def test_what_is_right_joins(keys: dict[str, str]) -> None:
    assert beyond_of(of(**keys), {"T": "secret"}) is not None


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"nats": "127.0.0.1:4222"}, "nats://HOST:PORT"),
        ({"nats": "nats://me:secret@host:4222"}, "name a secret in token or nkey"),
        ({"nats": "nats://secret@host"}, "name a secret in token or nkey"),
        ({"nats": " , "}, "must be an address"),
        ({"nats": "nats://host", "token": "T"}, "in the clear"),
        ({"nats": "nats://127.0.0.1,nats://host", "token": "T"}, "in the clear"),
        ({"nats": "nats://127.0.0.1,tls://host", "token": "it-is secret"}, "name of an environment variable"),
        ({"nats": "nats://host", "nkey": "SU A"}, "name of an environment variable"),
        ({"nats": "tls://host", "token": "T", "nkey": "N"}, "do not go together"),
        ({"nats": "tls://host", "cert": "a.pem"}, "go together"),
        ({"nats": "nats://host", "prefix": "a.*"}, "prefix"),
        ({"nats": "nats://host", "prefix": "a..b"}, "prefix"),
    ],
)
def test_what_is_wrong_says_why_and_shows_no_secret(keys: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigInvalid, match=says) as caught:
        of(**keys)
    assert "secret@" not in str(caught.value)
    assert "it-is" not in str(caught.value)


def test_a_variable_that_is_not_set_is_named() -> None:
    with pytest.raises(ConfigInvalid, match="the variable T"):
        beyond_of(of(nats="nats://127.0.0.1", token="T"), {})
