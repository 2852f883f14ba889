"""Names: of hosts, of cookies, of pages that may speak for a browser."""

import pytest

from gateway.domain.lines import one_line
from gateway.services.auth.login_cookie import LoginCookie
from gateway.services.auth.origins import Hosts, Origins


@pytest.mark.parametrize(
    ("host", "is_known"),
    [
        ("127.0.0.1:8000", True), ("localhost:8000", True), ("[::1]:8000", True), ("127.9.9.9", True),
        ("gw.shop.example", True), ("GW.shop.example:443", True), ("pos.shop.example", True), ("x.localhost", True),
        ("evil.example", False), ("gw.shop.example.evil.example", False), ("192.0.2.7", False), ("gateway", False),
        ("", False), ("a b", False), ("http://gw.shop.example", False), ("gw.shop.example/x", False), ("[::1", False),
        ("gw.shop.example@evil.example", False), ("é.example", False),
    ],
)  # fmt: skip
def test_a_gateway_on_loopback_answers_to_its_names(host: str, is_known: bool) -> None:
    hosts = Hosts("127.0.0.1", "https://gw.shop.example/chat", ("https://pos.shop.example",))

    assert hosts.knows(host) is is_known


@pytest.mark.parametrize(
    ("host", "is_known"),
    [("192.0.2.7:8000", True), ("[2001:db8::1]", True), ("gateway:8000", True), ("evil.example", False)],
)
def test_one_on_any_address_answers_to_addresses_and_to_names_of_a_local_network(
    host: str, is_known: bool
) -> None:
    assert Hosts("0.0.0.0").knows(host) is is_known


@pytest.mark.parametrize(
    "origin", ["http://[", "http://a]b", "null", "x", "//", "http://127.0.0.1:8000.evil.example"]
)
def test_an_odd_origin_is_a_foreign_one(origin: str) -> None:
    assert not Origins(("https://shop.example",)).allows(origin, "127.0.0.1:8000")


@pytest.mark.parametrize(
    ("url", "scheme", "begins", "path"),
    [
        (None, "http", "gateway_login_", "/"),
        (None, "https", "__Host-gateway_login_", "/"),
        ("https://gw.example", "http", "__Host-gateway_login_", "/"),
        ("https://shop.example/gw", "http", "__Secure-gateway_login_", "/gw"),
        ("http://gw.lan", "ws", "gateway_login_", "/"),
        ("https://gw.example", "ws", "__Host-gateway_login_", "/"),
    ],
)
def test_the_cookie_is_bound_as_tightly_as_its_address_allows(
    url: str | None, scheme: str, begins: str, path: str
) -> None:
    cookie = LoginCookie("installation-1", url)

    assert cookie.name(scheme).startswith(begins)
    assert cookie.path == path
    assert cookie.read({cookie.name(scheme): "t"}, scheme) == "t"
    assert LoginCookie("installation-2", url).read({cookie.name(scheme): "t"}, scheme) is None


@pytest.mark.parametrize("text", ["Ann", "Änne 👩‍👩‍👧", "مريم", "a\\b"])
def test_a_name_in_one_line_stays_as_it_is(text: str) -> None:
    assert one_line(text) == text


@pytest.mark.parametrize(
    "text", ["a\nb", "a\r", "\x00", "\x1b[2J", "\x85", "\u2028", "\u2029", "\u202e", "\ud83d"]
)
def test_what_would_break_a_line_is_shown_as_an_escape(text: str) -> None:
    shown = one_line(text)
    assert shown.isprintable()
    assert "\\" in shown
