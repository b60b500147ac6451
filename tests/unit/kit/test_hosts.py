"""Which hosts may be asked: nothing that is not listed, no way around the list."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.kit.hosts import Allowed, HostRefused, host_name


def may(patterns: list[str], scheme: str, host: str, port: int | None = None) -> bool:
    try:
        Allowed.of(patterns).check_host(scheme, host, port)
    except HostRefused:
        return False
    return True


def may_reach(patterns: list[str], host: str, address: str, port: int | None = None) -> bool:
    try:
        Allowed.of(patterns).check_address("https", host, port, ip_address(address))
    except HostRefused:
        return False
    return True


@pytest.mark.parametrize(
    ("pattern", "host", "port", "allowed"),
    [
        ("api.example.org", "api.example.org", None, True),
        ("API.Example.org.", "api.example.org", 443, True),
        ("api.example.org", "api.example.org.", None, True),
        ("api.example.org", "api.example.org", 8443, False),
        ("api.example.org", "example.org", None, False),
        ("api.example.org", "xapi.example.org", None, False),
        ("api.example.org", "api.example.org.evil.net", None, False),
        ("*.example.com:8443", "a.b.example.com", 8443, True),
        ("*.example.com:8443", "a.example.com", None, False),
        ("*.example.com", "example.com", None, False),
        ("*.example.com", "badexample.com", None, False),
        ("bücher.example", "xn--bcher-kva.example", None, True),
        ("10.0.0.0/8", "10.1.2.3", None, True),
        ("10.0.0.0/8", "11.1.2.3", None, False),
        ("127.0.0.1:8080", "127.0.0.1", 8080, True),
        ("127.0.0.1:8080", "127.0.0.1", 8081, False),
        ("[::1]:8080", "::1", 8080, True),
        ("::1", "0:0:0:0:0:0:0:1", None, True),
        ("*.localhost", "app.localhost", None, True),
    ],
)
def test_a_host_must_be_named_with_its_port(pattern: str, host: str, port: int | None, allowed: bool) -> None:
    assert may([pattern], "https", host, port) == allowed
    assert not may([], "https", host, port)


def test_the_usual_port_is_that_of_the_scheme() -> None:
    assert may(["a.example"], "http", "a.example", 80)
    assert not may(["a.example"], "http", "a.example", 443)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1",
     "224.0.0.1", "::1", "fe80::1", "fd00::1", "::ffff:127.0.0.1", "::", "255.255.255.255"],
)  # fmt: skip
def test_an_address_that_is_not_public_must_be_listed_itself(address: str) -> None:
    assert not may_reach(["api.example.org"], "api.example.org", address)
    assert not may_reach(["*.example.org", "8.8.8.8"], "api.example.org", address)
    plain = "127.0.0.1" if address == "::ffff:127.0.0.1" else address
    assert may_reach([plain], "api.example.org", address)


def test_public_addresses_networks_and_localhost() -> None:
    assert may_reach([], "api.example.org", "93.184.216.34")
    assert may_reach(["10.0.0.0/8"], "intranet.example", "10.9.9.9")
    assert may_reach([], "localhost", "127.0.0.1")
    assert not may_reach([], "localhost", "10.0.0.1")
    assert not may_reach([], "localhost.example.org", "127.0.0.1")


@pytest.mark.parametrize(
    "pattern",
    ["", "*", "*.*", "a.*.example", "*.com", "http://a.example", "a.example/path", "a example",
     "user@a.example", "a.example:0", "a.example:99999", "10.0.0.0/99", "[::1", "-a.example", "a..example",
     "*.example.com:x"],
)  # fmt: skip
def test_a_pattern_that_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError):
        Allowed.of([pattern])


@given(st.text(max_size=30))
def test_whatever_stands_in_the_list_it_is_a_rule_or_an_error(pattern: str) -> None:
    try:
        allowed = Allowed.of([pattern])
    except ValueError:
        return
    with pytest.raises(HostRefused):
        allowed.check_host("https", "not-listed.invalid.test", None)
    assert host_name(pattern.lower()) == host_name(pattern)
