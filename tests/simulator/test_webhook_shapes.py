"""Webhooks in every shape that was documented or seen, and what a tester can do to them."""

from typing import Any

import pytest

from tests.simulator.support import (
    ALL_EVENTS,
    HELLO,
    MovedClock,
    Receiver,
    Served,
    linked,
    serving,
)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("long_timestamp", {"low": 1750000000, "high": 0, "unsigned": True}),
        ("ms_timestamp", 1750000000000),
        ("text_timestamp", "1750000000"),
    ],
)
async def test_timestamps_come_in_every_observed_form(
    served: Served, receiver: Receiver, mode: str, expected: Any
) -> None:
    await linked(served, receiver)
    await served.control("POST", "/sessions/1/inbound", HELLO | {"timestamp": 1750000000, mode: True})
    (hook,) = await receiver.wait_for_events("messages.received")

    assert hook.body["data"]["messages"]["messageTimestamp"] == expected


async def test_a_sender_can_be_known_by_lid_only(served: Served, receiver: Receiver) -> None:
    await linked(served, receiver)
    await served.control("POST", "/sessions/1/inbound", HELLO | {"lid_only": True, "addressing": "pn"})
    (hook,) = await receiver.wait_for_events("messages.received")

    assert b"491701234567" not in hook.raw
    assert hook.body["data"]["messages"]["key"]["remoteJid"].endswith("@lid")


async def test_messages_can_come_as_a_list_or_bare(served: Served, receiver: Receiver) -> None:
    await linked(served, receiver, webhook_events=["messages.upsert"])
    await served.control("POST", "/sessions/1/inbound", HELLO | {"modes": ["array"]})
    await served.control("POST", "/sessions/1/inbound", HELLO | {"modes": ["bare"]})
    as_list, bare = await receiver.wait_for_count(2)

    assert as_list.body["data"]["messages"][0]["messageBody"] == "hello"
    assert bare.body["data"]["messageBody"] == "hello"


async def test_a_mode_set_as_a_fault_hits_its_event_once(served: Served, receiver: Receiver) -> None:
    await linked(served, receiver, webhook_events=["messages.received", "messages.upsert"])
    await served.control("POST", "/faults", {"mode": "duplicate", "event": "messages.rec*", "copies": 3})
    await served.control("POST", "/sessions/1/inbound", HELLO)
    await served.control("POST", "/sessions/1/inbound", HELLO)
    events = [hook.event for hook in await receiver.wait_for_count(6)]

    assert events == ["messages.received"] * 3 + ["messages.upsert", "messages.received", "messages.upsert"]


async def test_a_wrong_secret_and_broken_json_can_be_sent(served: Served, receiver: Receiver) -> None:
    session = await linked(served, receiver, webhook_events=["messages.received"])
    await served.control("POST", "/sessions/1/inbound", HELLO | {"wrong_secret": True})
    await served.control("POST", "/sessions/1/inbound", HELLO | {"garbage": True})
    wrong, garbage = await receiver.wait_for_count(2)

    assert wrong.headers["X-Webhook-Signature"] != session["webhook_secret"]
    with pytest.raises(ValueError):
        _ = garbage.body


async def test_a_delayed_event_is_overtaken(receiver: Receiver) -> None:
    clock = MovedClock()
    async with serving(clock=clock) as served:
        await served.create(receiver)
        for name, more in (("late", {"delay_ms": 500}), ("early", {})):
            body = {"event": name, "data": {}, **more}
            assert (await served.control("POST", "/sessions/1/event", body)).status == 200
        await receiver.wait_for_events("early")
        clock.move(1)
        await receiver.wait_for_events("late")

    assert [hook.event for hook in receiver.got] == ["early", "late"]


async def test_lone_surrogates_and_nul_travel_unharmed(served: Served, receiver: Receiver) -> None:
    await linked(served, receiver)
    raw = '{"from": "+491701234567", "text": "a\\u0000b", "push_name": "cut \\ud83d"}'
    url = served.base + "/_simulator/sessions/1/inbound"
    async with served.http.post(url, data=raw, headers={"Content-Type": "application/json"}) as reply:
        assert reply.status == 200
    (hook,) = await receiver.wait_for_events("messages.received")

    assert hook.body["data"]["messages"]["pushName"] == "cut \ud83d"
    assert hook.body["data"]["messages"]["messageBody"] == "a\x00b"


async def test_any_event_can_be_sent_in_the_envelope(served: Served, receiver: Receiver) -> None:
    session = await served.create(receiver)
    data = {"call": {"id": "1", "status": "offer"}}
    await served.control(
        "POST", "/sessions/1/event", {"event": "call", "data": data, "timestamp": 1750000000}
    )
    (hook,) = await receiver.wait_for_events("call")

    assert "call" not in ALL_EVENTS
    assert hook.body == {
        "event": "call",
        "timestamp": 1750000000,
        "sessionId": session["api_key"],
        "data": data,
    }


async def test_edits_deletions_and_reactions_point_at_their_message(
    served: Served, receiver: Receiver
) -> None:
    await linked(served, receiver, webhook_events=["messages.received"])
    about = {"from": HELLO["from"]}
    await served.control("POST", "/sessions/1/inbound", about | {"edit": {"key_id": "A", "text": "new"}})
    await served.control("POST", "/sessions/1/inbound", about | {"delete": {"key_id": "B"}})
    await served.control("POST", "/sessions/1/inbound", about | {"reaction": {"key_id": "C", "text": "👍"}})
    edit, delete, reaction = (h.body["data"]["messages"]["message"] for h in await receiver.wait_for_count(3))

    assert edit["protocolMessage"]["key"]["id"] == "A"
    assert edit["protocolMessage"]["editedMessage"] == {"conversation": "new"}
    assert delete["protocolMessage"] == {"key": delete["protocolMessage"]["key"], "type": 0}
    assert reaction["reactionMessage"]["text"] == "👍"
