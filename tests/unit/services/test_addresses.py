"""Whose address counts behind proxies."""

import pytest

from gateway.services.addresses import TrustedProxies, counted_as

PROXIES = TrustedProxies(["10.0.0.0/8", "fd00::1"])


@pytest.mark.parametrize(
    ("peer", "hops", "client"),
    [
        ("10.1.2.3", "203.0.113.7", "203.0.113.7"),
        ("10.1.2.3", "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("10.1.2.3", "198.51.100.1, 203.0.113.7, 10.9.9.9", "203.0.113.7"),
        ("10.1.2.3", "10.5.5.5", "10.5.5.5"),
        ("10.1.2.3", "203.0.113.7:4711", "203.0.113.7"),
        ("10.1.2.3", "[2001:db8::1]:4711", "2001:db8::1"),
        ("fd00::1", "::ffff:203.0.113.7", "203.0.113.7"),
        ("10.1.2.3", "203.0.113.7, nonsense", "10.1.2.3"),
        ("10.1.2.3", "nonsense, 203.0.113.7", "203.0.113.7"),
    ],
)
def test_the_hops_are_walked_from_the_right_to_the_first_that_is_not_trusted(
    peer: str, hops: str, client: str
) -> None:
    origin = PROXIES.origin(peer, [(b"x-forwarded-for", hops.encode())])

    assert origin is not None
    assert origin.address == client


def test_several_headers_are_one_list() -> None:
    headers = [(b"x-forwarded-for", b"198.51.100.1"), (b"x-forwarded-for", b"203.0.113.7")]

    origin = PROXIES.origin("10.1.2.3", headers)

    assert origin is not None
    assert origin.address == "203.0.113.7"


def test_what_a_stranger_says_of_others_counts_for_nothing() -> None:
    headers = [(b"x-forwarded-for", b"10.1.1.1"), (b"x-forwarded-proto", b"https")]

    assert PROXIES.origin("203.0.113.7", headers) is None
    assert TrustedProxies().origin("127.0.0.1", headers) is None


@pytest.mark.parametrize(("said", "scheme"), [("https", "https"), ("http, HTTPS", "https"), ("gopher", None)])
def test_the_scheme_is_the_one_that_the_last_proxy_says(said: str, scheme: str | None) -> None:
    origin = PROXIES.origin("10.1.2.3", [(b"x-forwarded-proto", said.encode())])

    assert origin is not None
    assert origin.scheme == scheme


def test_an_ipv6_customer_is_counted_by_its_network() -> None:
    assert counted_as("2001:db8:1:2:3::4") == counted_as("2001:db8:1:2::9") != counted_as("2001:db8:1:3::9")
    assert counted_as("::ffff:203.0.113.7") == "203.0.113.7"
