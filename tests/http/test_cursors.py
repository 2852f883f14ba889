"""A cursor is opaque; whoever makes one up is told so, whatever is in it."""

import base64
import json
from typing import Any

import pytest

from tests.http.support import Shop

AT = "2026-01-01T00:00:00Z"
MADE_UP: list[Any] = [
    -5, 10**30, "x", None, {"a": 1}, [1], [None], [[1]], [10**30], ["x"],
    [AT, [1]], [AT, None], [AT, 10**30], ["0001-01-01T00:00:00+14:00", 1], ["9999-12-31T23:59:59-14:00", 1],
    [AT, 10**30, "a"], [AT, 1, "\x00"], [AT, "\x00", "1"], [AT, [1], "a"],
]  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [
        "/api/whatsapp-sessions?cursor=",
        "/api/whatsapp-sessions/{id}/logs?cursor=",
        "/api/conversations?cursor=",
        "/api/conversations/15550002222/messages?session={id}&before=",
    ],
)
async def test_a_made_up_cursor_never_breaks_a_list(path: str, shop: Shop) -> None:
    session_id = await shop.create()
    for value in MADE_UP:
        cursor = base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

        status, reply = await shop.gateway.call("GET", path.format(id=session_id) + cursor)

        assert status in (200, 422), (value, reply)
