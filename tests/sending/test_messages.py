"""A message from the request to the customer's phone: queued, accepted, sent, delivered, read."""

from tests.sending.support import Shop, text


async def test_an_answer_is_queued_and_comes_to_be_read(shop: Shop) -> None:
    session_id = await shop.linked()
    await shop.customer_writes(session_id, "Is it there?")

    status, reply = await shop.post(session_id, text("a", "Yes, in blue."))

    assert status == 202, reply
    assert reply["data"]["status"] == "queued"
    assert reply["data"]["message_text"] == "Yes, in blue."
    row = await shop.until(reply["data"]["id"], "read")
    assert row["wa_key_id"]
    (sent,) = await shop.sends()
    assert (sent["text"], sent["key_id"], sent["msgId"]) == ("Yes, in blue.", row["wa_key_id"], row["msg_id"])
    assert len(await shop.rows()) == 1
