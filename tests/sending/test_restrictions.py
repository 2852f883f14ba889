"""WhatsApp refuses new chats after WasenderAPI took the message: strangers wait, those who wrote are answered."""

import json

from tests.sending.support import Shop, text


async def test_a_restriction_that_comes_by_webhook_holds_strangers_and_no_answers(shop: Shop) -> None:
    session_id = await shop.linked()
    await shop.customer_writes(session_id, "Are you open?")
    await shop.fault(mode="restricted_later", times=50)
    first = await shop.queue(session_id, text("a", "Hello stranger"), chat="15550008881")
    await shop.until(first["id"], "accepted", "failed")
    await shop.eventually(
        lambda: shop.db.fetchval(
            "SELECT restricted_at FROM gateway.send_queues WHERE session = $1", session_id
        )
    )

    held = await shop.queue(session_id, text("b", "Hello other"), chat="15550008882")
    answer = await shop.queue(session_id, text("c", "Yes"))

    await shop.until(answer["id"], "read")
    shown = await shop.eventually(
        lambda: shop.db.fetchval("SELECT shown FROM gateway.send_queues WHERE session = $1", session_id),
        lambda found: found is not None and _data(found)["reason"] is not None,
    )
    assert (await shop.row(held["id"]))["status"] == "queued"
    assert (_data(shown)["reason"], _data(shown)["queued"]) == ("restricted", 1)


def _data(shown: object) -> dict[str, object]:
    return dict(json.loads(shown)) if isinstance(shown, str) else dict(shown)  # type: ignore[call-overload]
