"""What no client should send, and some do: each gets one sentence that names the field, and none is a bug of ours."""

from typing import Any

import pytest

from tests.sending.support import ANN, Shop, text


@pytest.mark.parametrize(
    ("odd", "field"),
    [
        ({"send_at": "9999-12-31T23:59:59-14:00"}, "send_at"),
        ({"seen": {"off": 2**63, "epoch": "x"}}, "seen"),
        ({"seen": {"off": 1, "epoch": "x\u0000"}}, "seen"),
        ({"reply_to": "in:\u0000"}, "reply_to"),
        ({"reply_to": "out:99999999999999999999999"}, "reply_to"),
        ({"mentions": ["15550002222"] * 9_000}, "mentions"),
        ({"media": "\u0000"}, "media"),
    ],
)
async def test_odd_values_are_refused_by_field(shop: Shop, odd: dict[str, Any], field: str) -> None:
    session_id = await shop.linked()

    status, reply = await shop.post(session_id, text("a", "Hello", **odd))

    assert (status, list(reply["details"]["errors"])) == (422, [field])


async def test_a_time_before_the_calendar_is_past_and_the_same_request_is_the_same_message(
    shop: Shop,
) -> None:
    session_id = await shop.linked()
    body = text("a", "Hello", send_at="0001-01-01T00:00:00+14:00")
    row = await shop.queue(session_id, body)

    again, _ = await shop.post(session_id, body)

    assert again == 200
    await shop.until(row["id"], "read")


@pytest.mark.parametrize("name", ["out:%00", "%00", "out:99999999999999999999", "out:-1"])
async def test_a_message_that_cannot_be_is_not_there(shop: Shop, name: str) -> None:
    session_id = await shop.linked()
    path = f"/api/conversations/{ANN}/messages/{name}"

    status, _ = await shop.call("DELETE", f"{path}?session={session_id}")

    assert status == 404
