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


async def test_after_its_time_one_stranger_is_tried_and_the_others_wait_for_whatsapps_word(
    shop: Shop,
) -> None:
    session_id = await shop.linked()
    await shop.fault(mode="restricted_later", times=2)
    await shop.fault(mode="msg_id_in_sent", times=50)
    rows = [
        await shop.queue(session_id, text(f"s{number}", "Hello"), chat=f"1555000888{number}")
        for number in range(2)
    ]
    await _is_restricted(shop, session_id, 1)
    await shop.until(rows[0]["id"], "failed")
    waiting = await shop.queue(session_id, text("w1", "Hello"), chat="15550008885")
    after = await shop.queue(session_id, text("w2", "Hello"), chat="15550008886")

    tried = len(await shop.sends())
    await _its_time_is_over(shop, session_id)
    if tried == 1:  # the second one of the first moment had not gone yet: it is the trial, and is refused
        await _is_restricted(shop, session_id, 2)
        await _its_time_is_over(shop, session_id)
    await shop.until(waiting["id"], "read")
    await shop.until(after["id"], "read")

    sends = [send["to"].lstrip("+") for send in await shop.sends()]
    assert sends[-2:] == ["15550008885", "15550008886"]
    assert len(sends) == len(set(sends))


async def _is_restricted(shop: Shop, session_id: int, times: int) -> None:
    await shop.eventually(
        lambda: _queue(shop, session_id),
        lambda queue: queue is not None and queue["restrictions"] == times and queue["trial"] is None,
    )


async def _queue(shop: Shop, session_id: int) -> dict[str, object] | None:
    found = await shop.db.fetchval("SELECT queue FROM gateway.send_queues WHERE session = $1", session_id)
    return None if found is None else _data(found)


async def _its_time_is_over(shop: Shop, session_id: int) -> None:
    """Its sender is ended as another gateway's take-over would, and its successor reads that the time is over."""
    await shop.db.execute(
        "UPDATE gateway.send_queues SET holder = 'nobody', queue = jsonb_set(queue, '{restricted_until}',"
        " to_jsonb(extract(epoch FROM clock_timestamp()) - 1)) WHERE session = $1",
        session_id,
    )
    await shop.db.execute("SELECT gateway.wake_sender_v1($1)", session_id)
