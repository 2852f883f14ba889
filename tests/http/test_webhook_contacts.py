"""Who wrote: phone numbers, LIDs until they are resolved, groups and channels."""

import pytest

from tests.http.support import OUTGOING, Shop, received, secret_of, sent
from tests.unit.wasender import payload_parts as parts


async def test_a_sender_known_only_by_lid_is_never_taken_for_a_phone_number(shop: Shop) -> None:
    await shop.take(received(jid=parts.ANN_LID))

    row = await shop.row()
    assert (row["from_phone"], row["chat"]) == (parts.ANN_LID, parts.ANN_LID)
    (conversation,) = (await shop.gateway.data("GET", "/api/conversations"))["conversations"]
    assert (conversation["phone"], conversation["chat"]) == (None, parts.ANN_LID)


async def test_rows_of_a_lid_move_to_the_number_once_it_is_known_and_browsers_see_it(shop: Shop) -> None:
    await shop.take(received("one", key_id="one", jid=parts.ANN_LID))
    await shop.take(sent("two", key_id="two", jid=parts.ANN_LID))
    in_group = {"participant": parts.ANN_LID}
    await shop.take(received("three", key_id="three", jid=parts.GROUP, key=in_group))
    async with shop.gateway.socket() as socket:
        await socket.subscribe("inbox:12")
        known = {"senderPn": parts.ANN_JID}
        await shop.take(received("four", key_id="four", jid=parts.ANN_LID, key=known))
        moves = [await socket.event("message.updated") for _ in range(3)]

    assert {frame["data"]["wa_key_id"]: frame["data"]["chat"] for frame in moves} == {
        "one": parts.ANN_JID,
        "two": parts.ANN_JID,
        "three": parts.GROUP,
    }
    assert {row["from_phone"] for row in await shop.rows()} == {parts.ANN}
    assert (await shop.row(OUTGOING))["to_phone"] == parts.ANN
    thread = await shop.gateway.data("GET", f"/api/conversations/{parts.ANN}/messages")
    assert sorted(item["message_text"] for item in thread["messages"]) == ["four", "one", "two"]


async def test_a_lid_whose_number_is_known_is_resolved_at_once_in_every_session(shop: Shop) -> None:
    await shop.take(received(key_id="known", jid=parts.ANN_LID, key={"senderPn": parts.ANN_JID}), 13)
    await shop.take(received(key_id="in", jid=parts.ANN_LID))
    await shop.take(sent(key_id="out", jid=parts.ANN_LID))

    found = {row["wa_key_id"]: (row["from_phone"], row["chat"]) for row in await shop.rows()}
    assert found["in"] == (parts.ANN, parts.ANN_JID)
    row = await shop.row(OUTGOING)
    assert (row["to_phone"], row["chat"]) == (parts.ANN, parts.ANN_JID)


@pytest.mark.parametrize("jid", [parts.GROUP, parts.CHANNEL, parts.STATUS])
async def test_groups_channels_and_status_are_stored_and_hidden_unless_asked_for(
    shop: Shop, jid: str
) -> None:
    await shop.take(received(jid=jid, key={"participant": parts.BOB_JID} if jid != parts.CHANNEL else {}))
    await shop.take(received(key_id="private"))

    shown = (await shop.gateway.data("GET", "/api/conversations"))["conversations"]
    everything = (await shop.gateway.data("GET", "/api/conversations?groups=1"))["conversations"]

    assert {row["chat"] for row in await shop.rows()} == {jid, parts.ANN_JID}
    assert [item["chat"] for item in shown] == [parts.ANN_JID]
    assert {item["chat"] for item in everything} == {jid, parts.ANN_JID}


async def test_a_secret_is_needed_for_rows_of_a_session_and_only_its_own_will_do(shop: Shop) -> None:
    assert (await shop.post(received(), secret=secret_of(13), path="/api/whatsapp/webhook/12"))[0] == 401
    assert await shop.rows() == []
