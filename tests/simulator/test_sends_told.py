"""What the simulator tells of a send afterwards, by webhooks: that it was sent, its states, its changes."""

from typing import Any

from tests.simulator.sending import ANN, ANN_JID, mode, send, sends, states_of
from tests.simulator.support import (
    ALL_EVENTS,
    Receiver,
    Served,
    Webhook,
    linked,
)

# ---------------------------------------------------------------------------------------------- message.sent


async def test_message_sent_can_come_before_the_reply(served: Served, receiver: Receiver) -> None:
    key = (await linked(served, receiver))["api_key"]
    await mode(served, "sent_early")
    await send(served, key, text="hi")

    assert "message.sent" in [hook.event for hook in receiver.got]


async def test_message_sent_can_come_late_twice_or_never(served: Served, receiver: Receiver) -> None:
    key = (await linked(served, receiver))["api_key"]
    await mode(served, "delay", event="message.sent", delay_ms=1)
    await mode(served, "duplicate", event="message.sent", copies=2)
    await send(served, key, text="late, twice")
    await receiver.wait_for(lambda r: sum(hook.event == "message.sent" for hook in r.got) == 2)
    await mode(served, "lose", event="message.sent")
    await send(served, key, text="lost")
    await receiver.wait_for(lambda r: states_of(r).count(4) == 2)
    told = [hook.body["data"] for hook in receiver.got if hook.event == "message.sent"]

    assert [data["message"]["conversation"] for data in told] == ["late, twice"] * 2
    assert all("msgId" not in data for data in told)


async def test_message_sent_names_the_number_of_a_send_only_when_asked(
    served: Served, receiver: Receiver
) -> None:
    key = (await linked(served, receiver))["api_key"]
    await mode(served, "msg_id_in_sent")
    reply = await send(served, key, text="hi")
    (hook,) = await receiver.wait_for_events("message.sent")

    assert hook.body["data"]["msgId"] == reply.data["msgId"]


async def test_the_echo_can_come_first_by_lid_and_in_the_documentations_form(
    served: Served, receiver: Receiver
) -> None:
    key = (await linked(served, receiver))["api_key"]
    for name in ("upsert_first", "sent_as_lid", "plus_jid"):
        await mode(served, name)
    await send(served, key, text="hi")
    sent, echo = await receiver.wait_for_events("message.sent", "messages.upsert")
    order = [hook.event for hook in receiver.got if hook.event.startswith("message")]

    assert order[:2] == ["messages.upsert", "message.sent"]
    assert sent.body["data"]["key"]["remoteJid"] == ANN
    assert echo.body["data"]["messages"]["key"]["remoteJid"].endswith("@lid")
    assert echo.body["data"]["messages"]["key"]["remoteJidAlt"] == ANN_JID


async def test_a_send_of_which_nothing_is_ever_heard_was_accepted_all_the_same(
    served: Served, receiver: Receiver
) -> None:
    key = (await linked(served, receiver))["api_key"]
    await mode(served, "never_sent")
    silent = await send(served, key, text="silent")
    await send(served, key, text="loud")
    await receiver.wait_for(lambda r: states_of(r) == [2, 3, 4])
    info = await served.call("GET", f"/api/messages/{silent.data['msgId']}/info", token=key)

    assert info.data["status"] == 1
    assert [row["state"] for row in await sends(served)] == [1, 4]


# ---------------------------------------------------------------------------------------------- states


async def test_states_come_in_any_order_and_shape(served: Served, receiver: Receiver) -> None:
    key = (await linked(served, receiver))["api_key"]
    await mode(served, "states", states=[4, 2, 5, 3, 3])
    await mode(served, "nested", event="messages.update")
    await mode(served, "array", event="messages.update", times=2)
    await mode(served, "not_from_me", event="messages.update", times=3)
    await send(served, key, text="hi")
    await receiver.wait_for(lambda r: sum(hook.event == "messages.update" for hook in r.got) == 5)
    told = [_update_of(hook) for hook in receiver.got if hook.event == "messages.update"]

    assert [state for state, _ in told] == [4, 2, 5, 3, 3]
    assert [from_me for _, from_me in told] == [False, False, False, True, True]
    assert (await sends(served))[0]["state"] == 5


def _update_of(hook: Webhook) -> tuple[int, bool]:
    data = hook.body["data"]
    data = data[0] if isinstance(data, list) else data
    inner = data["update"] if "key" in data["update"] else data
    return inner["update"]["status"], inner["key"]["fromMe"]


async def test_a_hand_can_tell_any_state_of_a_send(served: Served, receiver: Receiver) -> None:
    await served.control("POST", "/settings", {"plays_by_itself": False})
    key = (await linked(served, receiver))["api_key"]
    number = (await send(served, key, text="hi")).data["msgId"]
    await receiver.wait_for(lambda r: states_of(r) == [2])
    played = await served.control("POST", f"/sends/{number}/state", {"status": 5})
    wrong = await served.control("POST", f"/sends/{number}/state", {"status": 6})
    unknown = await served.control("POST", "/sends/7/state", {"status": 5})
    await receiver.wait_for(lambda r: states_of(r) == [2, 5])

    assert (played.status, wrong.status, unknown.status) == (200, 422, 404)


async def test_a_group_tells_receipts_of_each_member(served: Served, receiver: Receiver) -> None:
    session = await linked(served, receiver, webhook_events=[*ALL_EVENTS, "message-receipt.update"])
    inbound = {"from": ANN, "text": "hi", "group": "Family"}
    group = (await served.control("POST", "/sessions/1/inbound", inbound)).data["chat"]
    await send(served, session["api_key"], to=group, text="hello all")
    await receiver.wait_for(lambda r: sum(h.event == "message-receipt.update" for h in r.got) == 2)
    receipts = [
        h.body["data"]["message"]["receipt"] for h in receiver.got if h.event == "message-receipt.update"
    ]

    assert {"receiptTimestamp", "readTimestamp"} == {name for row in receipts for name in row} - {"userJid"}
    assert all(row["userJid"].endswith("@lid") for row in receipts)


# ---------------------------------------------------------------------------------------------- changes


async def test_edits_and_deletions_are_echoed_and_a_deleted_send_is_unknown_upstream(
    served: Served, receiver: Receiver
) -> None:
    key = (await linked(served, receiver))["api_key"]
    number = (await send(served, key, text="hi")).data["msgId"]
    await receiver.wait_for_events("message.sent")
    await served.call("PUT", f"/api/messages/{number}", {"text": "ho"}, token=key)
    await served.call("DELETE", f"/api/messages/{number}", token=key)
    await receiver.wait_for(lambda r: len(_protocols(r)) == 2)
    edit, revoke = _protocols(receiver)
    (row,) = await sends(served)
    again = await served.call("DELETE", f"/api/messages/{number}", token=key)
    quote = await send(served, key, text="x", replyTo=number)

    assert edit["editedMessage"]["extendedTextMessage"]["text"] == "ho"
    assert edit["key"]["id"] == revoke["key"]["id"] == row["key_id"]
    assert (row["text"], row["edited"], row["deleted"]) == ("hi", True, True)
    assert (again.status, quote.status) == (404, 422)


def _protocols(receiver: Receiver) -> list[dict[str, Any]]:
    upserts = [hook.body["data"]["messages"] for hook in receiver.got if hook.event == "messages.upsert"]
    return [item["message"]["protocolMessage"] for item in upserts if "protocolMessage" in item["message"]]
