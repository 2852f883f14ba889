"""A path of a proxy is taken off, and nothing else."""

from typing import Any

import pytest

from gateway.http.prefix import ROOTS, Prefix
from tests.docs.pages import names, table


def taken_off(public_url: str, path: str, raw: bytes | None = None) -> tuple[str, bytes | None]:
    scope: dict[str, Any] = {"type": "http", "path": path, "raw_path": path.encode() if raw is None else raw}
    Prefix(public_url).take_off(scope)
    return scope["path"], scope["raw_path"]


@pytest.mark.parametrize(
    ("public_url", "path", "seen"),
    [
        ("https://shop.example/gateway", "/gateway/api/me", "/api/me"),
        ("https://shop.example/gateway", "/api/me", "/api/me"),
        ("https://shop.example/gateway", "/gateway/", "/"),
        ("https://shop.example/gateway", "/gateways/x", "/gateways/x"),
        ("https://shop.example/gateway", "/gateway/gateway/x", "/gateway/x"),
        ("https://shop.example/a/b", "/a/b/ws", "/ws"),
        ("https://shop.example/a/b", "/a/ws", "/a/ws"),
        ("https://shop.example/w%C3%A4hlen", "/wählen/ws", "/ws"),
        ("https://shop.example", "/gateway/api/me", "/gateway/api/me"),
        # A prefix that is one of our own first words.
        ("https://shop.example/api", "/api/me", "/api/me"),
        ("https://shop.example/api", "/api/api/me", "/api/me"),
        ("https://shop.example/api", "/api/ws", "/ws"),
        ("https://shop.example/api", "/api/", "/"),
    ],
)
def test_a_prefix_is_taken_off_where_it_stands(public_url: str, path: str, seen: str) -> None:
    assert taken_off(public_url, path)[0] == seen


def test_the_raw_path_keeps_its_own_spelling() -> None:
    assert taken_off("https://shop.example/g", "/g/api/conversations/a/b", b"/g/api/conversations/a%2Fb") == (
        "/api/conversations/a/b",
        b"/api/conversations/a%2Fb",
    )


def test_the_prefix_without_a_slash_is_sent_below_itself() -> None:
    prefix = Prefix("https://shop.example/gateway")
    scope = {"type": "http", "path": "/gateway", "query_string": b"a=1", "headers": []}
    redirect = prefix.redirect(scope)
    assert redirect is not None
    assert (redirect.status_code, redirect.headers["location"]) == (308, "/gateway/?a=1")
    assert prefix.redirect({**scope, "path": "/gateway/"}) is None


def test_every_first_word_of_our_addresses_is_known() -> None:
    paths = [path for row in table("rest.md", "## Routes") for path in names([row], 1)]
    words = {path.split("/")[1] for path in paths if path.startswith("/")}
    assert words - ROOTS == set()
