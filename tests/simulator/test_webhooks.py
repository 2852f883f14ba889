"""Webhooks: who gets which, in what shape and order, and what happens when nobody takes them."""

from dataclasses import replace
from typing import Any

import pytest

from tests.simulator.sending import ANN, ANN_JID
from tests.simulator.support import (
    HELLO,
    QUICK,
    MovedClock,
    Receiver,
    Served,
    finished,
    linked,
    receiving,
    serving,
)


async def test_linking_tells_each_status_and_code_in_order(served: Served, receiver: Receiver) -> None:
    session = await linked(served, receiver)
    await receiver.wait_for(lambda r: len(r.got) >= 5)
    told = [hook.body["data"].get("status") or hook.body["data"]["qr"][:2] for hook in receiver.got]

    assert told == ["connecting", "need_scan", "2@", "connecting", "connected"]
    for hook in receiver.got:
        assert hook.headers["X-Webhook-Signature"] == session["webhook_secret"]
        assert hook.headers["Content-Type"] == "application/json"
        assert hook.body["sessionId"] == session["api_key"]
        assert "timestamp" not in hook.body


async def test_each_new_code_is_told(served: Served, receiver: Receiver) -> None:
    await served.create(receiver)
    first = (await served.account("POST", "/whatsapp-sessions/1/connect")).data["qrCode"]
    await served.control("POST", "/sessions/1/rotate-qr")
    second = (await served.account("GET", "/whatsapp-sessions/1/qrcode")).data["qrCode"]
    await receiver.wait_for(lambda r: len([h for h in r.got if h.event == "qrcode.updated"]) == 2)

    assert [h.body["data"]["qr"] for h in receiver.got if h.event == "qrcode.updated"] == [first, second]
    assert first != second


async def test_an_incoming_message_has_the_shape_of_a_real_one(served: Served, receiver: Receiver) -> None:
    session = await linked(served, receiver)
    said = (await served.control("POST", "/sessions/1/inbound", HELLO)).data
    received, personal, upsert = await receiver.wait_for_events(
        "messages.received", "messages-personal.received", "messages.upsert"
    )
    message = received.body["data"]["messages"]

    assert said["events"] == ["messages.received", "messages-personal.received", "messages.upsert"]
    assert received.body["sessionId"] == session["api_key"]
    assert message["key"]["id"] == said["key_id"]
    assert message["key"]["fromMe"] is False
    assert message["key"]["cleanedSenderPn"] == "491701234567"
    assert message["key"]["senderPn"] == "491701234567@s.whatsapp.net"
    assert message["key"]["remoteJid"] == message["key"]["senderLid"]
    assert message["pushName"] == "Ann"
    assert message["messageBody"] == "hello"
    assert message["message"]["conversation"] == "hello"
    assert "messageContextInfo" in message["message"]
    assert message["messageTimestamp"] == received.body["timestamp"]
    assert personal.body["data"] == upsert.body["data"] == received.body["data"]


async def test_a_group_message_names_its_author(served: Served, receiver: Receiver) -> None:
    await linked(served, receiver)
    await served.control("POST", "/sessions/1/inbound", {**HELLO, "group": "Family"})
    (hook,) = await receiver.wait_for_events("messages-group.received")
    key = hook.body["data"]["messages"]["key"]

    assert key["remoteJid"].endswith("@g.us")
    assert key["cleanedParticipantPn"] == "491701234567"
    assert key["participant"] == key["participantLid"]


async def test_what_is_typed_on_the_phone_comes_only_as_upsert(served: Served, receiver: Receiver) -> None:
    await linked(served, receiver)
    said = (await served.control("POST", "/sessions/1/inbound", {**HELLO, "fromMe": True})).data
    (hook,) = await receiver.wait_for_events("messages.upsert")
    key = hook.body["data"]["messages"]["key"]

    assert said["events"] == ["messages.upsert"]
    assert key["fromMe"] is True
    assert key["remoteJidAlt"] == "491701234567@s.whatsapp.net"
    assert "pushName" not in hook.body["data"]["messages"]


async def test_only_subscribed_events_are_sent(served: Served, receiver: Receiver) -> None:
    await linked(served, receiver, webhook_events=["messages.upsert"])
    said = (await served.control("POST", "/sessions/1/inbound", HELLO)).data
    await receiver.wait_for_events("messages.upsert")

    assert said["events"] == ["messages.upsert"]
    assert [hook.event for hook in receiver.got] == ["messages.upsert"]


@pytest.mark.parametrize(
    "fields", [{"webhook_enabled": False}, {"webhook_events": None}, {"webhook_url": None}]
)
async def test_no_webhook_leaves_when_it_is_switched_off(
    served: Served, receiver: Receiver, fields: dict[str, Any]
) -> None:
    await linked(served, receiver, **fields)
    said = (await served.control("POST", "/sessions/1/inbound", HELLO)).data

    assert said["events"] == []
    assert (await served.control("GET", "/deliveries")).data == []


async def test_a_refused_webhook_is_repeated_until_it_is_taken(served: Served, receiver: Receiver) -> None:
    await linked(served, receiver, webhook_events=["messages.received"])
    receiver.answers = [500, 302]
    await served.control("POST", "/sessions/1/inbound", HELLO)
    (delivery,) = await finished(served)

    assert len(receiver.got) == 3
    assert len({hook.raw for hook in receiver.got}) == 1
    assert delivery["statuses"] == [500, 302, 200]
    assert delivery["attempts"] == 3
    assert delivery["outcome"] == "delivered"


async def test_a_webhook_nobody_takes_is_given_up_after_its_retries(
    served: Served, receiver: Receiver
) -> None:
    await linked(served, receiver, webhook_events=["messages.received"])
    receiver.answers = [503] * 4
    await served.control("POST", "/sessions/1/inbound", HELLO)
    await served.control("POST", "/sessions/1/inbound", HELLO | {"text": "next"})
    first, second = await finished(served, 2)

    assert (first["outcome"], first["attempts"]) == ("failed", 4)
    assert (second["outcome"], second["attempts"]) == ("delivered", 1)


async def test_an_address_where_nobody_listens_is_recorded_as_unreachable(served: Served) -> None:
    async with receiving() as gone:
        pass
    await linked(served, gone, webhook_events=["messages.received"])
    await served.control("POST", "/sessions/1/inbound", HELLO)
    (delivery,) = await finished(served)

    assert delivery["statuses"] == ["unreachable"] * 4
    assert delivery["outcome"] == "failed"


async def test_a_hanging_receiver_delays_no_other_session(served: Served, receiver: Receiver) -> None:
    async with receiving() as stuck:
        stuck.hold = True
        await linked(served, stuck, webhook_events=["messages.received"])
        await linked(served, receiver, webhook_events=["messages.received"])
        await served.control("POST", "/sessions/1/inbound", HELLO)
        await stuck.wait_for_count(1)
        await served.control("POST", "/sessions/2/inbound", HELLO)
        await receiver.wait_for_count(1)
        outcomes = {
            row["session_id"]: row["outcome"] for row in (await served.control("GET", "/deliveries")).data
        }

    assert outcomes[1] == "waiting"


async def test_what_waits_for_a_deleted_session_is_dropped(served: Served, receiver: Receiver) -> None:
    await linked(served, receiver, webhook_events=["messages.received"])
    receiver.hold = True
    for _ in range(2):
        await served.control("POST", "/sessions/1/inbound", HELLO)
    await receiver.wait_for_count(1)
    await served.account("DELETE", "/whatsapp-sessions/1")
    receiver.let_go.set()
    deliveries = await finished(served, 2)

    assert deliveries[1]["outcome"] == "dropped"
    assert deliveries[1]["attempts"] == 0
    assert len(receiver.got) == 1


async def test_a_receiver_that_is_too_slow_counts_as_a_timeout(served: Served, receiver: Receiver) -> None:
    await linked(served, receiver, webhook_events=["messages.received"])
    receiver.hold = True
    await served.control("POST", "/sessions/1/inbound", HELLO)
    await receiver.wait_for_count(2)
    receiver.hold = False
    (delivery,) = await finished(served)

    assert delivery["statuses"][0] == "timeout"
    assert delivery["outcome"] == "delivered"


async def test_events_of_a_session_keep_their_order_through_retries(
    served: Served, receiver: Receiver
) -> None:
    await linked(served, receiver, webhook_events=["messages.received"])
    receiver.answers = [500, 500, 200, 500]
    for number in range(5):
        await served.control("POST", "/sessions/1/inbound", HELLO | {"text": str(number)})
    await finished(served, 5)
    told = [hook.body["data"]["messages"]["messageBody"] for hook in receiver.got]

    assert list(dict.fromkeys(told)) == ["0", "1", "2", "3", "4"]


async def test_deliveries_show_no_secret(served: Served, receiver: Receiver) -> None:
    receiver.url = receiver.url.replace("http://", "http://me:pass@") + "?token=hidden"
    session = await linked(served, receiver)
    await receiver.wait_for_count(5)
    text = (await served.control("GET", "/deliveries")).text + (await served.control("GET", "/sessions")).text

    for secret in (session["api_key"], session["webhook_secret"], "hidden", "pass", "1|account"):
        assert secret not in text


async def test_pauses_between_retries_follow_the_clock(receiver: Receiver) -> None:
    clock = MovedClock()
    settings = replace(QUICK, connect_delay_s=0, finishing_delay_s=0, webhook_retry_delays_s=(1.0, 2.0))
    async with serving(settings=settings, clock=clock) as served:
        await served.create(receiver, webhook_events=["need"])
        receiver.answers = [500, 500]
        await served.control("POST", "/sessions/1/event", {"event": "any", "data": 1})
        await receiver.wait_for_count(1)
        for count, pause_s in ((2, 1.0), (3, 2.0)):
            version = (await served.control("GET", "/sessions")).json["version"]
            while (await served.control("GET", "/deliveries")).data[0]["attempts"] < count - 1:
                version = (await served.control("GET", f"/changes?after={version}")).data["version"]
            clock.move(pause_s - 0.1)
            assert len(receiver.got) == count - 1
            clock.move(0.2)
            await receiver.wait_for_count(count)


async def test_a_call_is_told_as_a_webhook(served: Served, receiver: Receiver) -> None:
    await linked(served, receiver, webhook_events=["call"])
    await served.control("POST", "/sessions/1/call", {"from": ANN, "video": True})
    (hook,) = await receiver.wait_for_events("call")

    assert hook.body["data"]["call"]["from"] == ANN_JID
    assert hook.body["data"]["call"]["isVideo"] is True
    assert hook.body["data"]["call"]["status"] == "offer"
