"""What upstream tells early, late, in another order or of another person's words is put to the right row."""

import pytest

from tests.sending.support import ANN, Shop, text

NEW = "15550003333"


async def test_the_same_words_typed_on_the_phone_meanwhile_are_a_row_of_their_own(shop: Shop) -> None:
    session_id = await shop.linked()
    await shop.customer_writes(session_id, "Is it there?")
    await shop.fault(path="/send-message", delay_ms=500, times=1)
    row = await shop.queue(session_id, text("a", "Yes."))
    await shop.until(row["id"], "sending")

    typed = {"from": ANN, "from_me": True, "text": "Yes."}
    await shop.control("POST", f"/sessions/{session_id}/inbound", typed)
    await shop.until(row["id"], "read")
    rows = await shop.eventually(shop.rows, lambda found: len(found) == 2)

    (sent,) = await shop.sends()
    ours, theirs = sorted(rows, key=lambda found: found["client_id"] != "a")
    assert (ours["client_id"], ours["wa_key_id"]) == ("a", sent["key_id"])
    assert theirs["wa_key_id"] not in (None, sent["key_id"])
    assert theirs["send_no"] is None


@pytest.mark.parametrize("mode", ["sent_early", "upsert_first"])
async def test_words_that_overtake_each_other_are_one_row(shop: Shop, mode: str) -> None:
    session_id = await shop.linked()
    await shop.customer_writes(session_id, "Is it there?")
    await shop.fault(mode=mode)

    row = await shop.queue(session_id, text("a", "Yes."))
    ours = await shop.until(row["id"], "read")

    (sent,) = await shop.sends()
    assert (ours["wa_key_id"], ours["msg_id"]) == (sent["key_id"], sent["msgId"])
    assert len(await shop.rows()) == 1


async def test_a_first_contact_that_whatsapp_refuses_afterwards_has_failed_and_answers_go_on(
    shop: Shop,
) -> None:
    session_id = await shop.linked()
    await shop.customer_writes(session_id, "Is it there?")
    await shop.fault(mode="restricted_later")

    first = await shop.queue(session_id, text("a", "Hello."), chat=NEW)
    failed = await shop.until(first["id"], "failed")
    answer = await shop.queue(session_id, text("b", "Yes."))
    await shop.until(answer["id"], "read")

    assert failed["error"]
    assert [row["status"] for row in await shop.rows()] == ["failed", "read"]
