"""What the simulator accepts to send, what it keeps of it, and what it answers when it does not."""

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.simulator.sending import ANN, ANN_JID, mode, send, sends
from tests.simulator.support import (
    Receiver,
    Served,
    linked,
    receiving,
    serving,
)

# ---------------------------------------------------------------------------------------------- the ledger


async def test_every_accepted_send_stands_in_the_ledger_with_its_key(
    served: Served, receiver: Receiver
) -> None:
    session = await linked(served, receiver)
    key = session["api_key"]
    await send(served, key, text="*one*\n_two_ ~3~ ```4```")
    await send(served, key, text="", location={"latitude": 52.5, "longitude": 13.4, "name": "Shop"})
    await send(served, key, contact={"name": "Ann", "phone": ANN})
    await send(served, key, to="120363000000000001@g.us", text="@49170 hi", mentions=[ANN_JID])
    await receiver.wait_for(lambda r: sum(hook.event == "message.sent" for hook in r.got) == 4)
    rows = await sends(served)
    told = [hook.body["data"]["key"]["id"] for hook in receiver.got if hook.event == "message.sent"]

    assert [row["kind"] for row in rows] == ["text", "location", "contact", "text"]
    assert [row["key_id"] for row in rows] == told
    assert rows[0]["text"] == "*one*\n_two_ ~3~ ```4```"
    assert (rows[0]["session"], rows[0]["msgId"], rows[0]["to"], rows[0]["jid"]) == (1, 100_000, ANN, ANN_JID)
    assert rows[3]["mentions"] == [ANN_JID]
    assert session["api_key"] not in json.dumps(rows)
    assert [row["msgId"] for row in await sends(served, "?after=100001")] == [100_002, 100_003]
    assert await sends(served, "?session=9") == []


async def test_the_ledger_outlives_a_kill_and_numbers_go_on(tmp_path: Path) -> None:
    state = tmp_path / "simulator.json"
    async with receiving() as receiver:
        async with serving(state) as served:
            key = (await linked(served, receiver))["api_key"]
            before_the_send = state.read_bytes()
            await send(served, key, text="hi")
        # What a kill leaves: the state from before the send, and a line that was cut.
        state.write_bytes(before_the_send)
        ledger = state.with_suffix(".sends.jsonl")
        ledger.write_bytes(ledger.read_bytes() + b'{"msgId": 5, "se')
        async with serving(state) as served:
            following = await send(served, key, text="ho")
            rows = await sends(served)

    assert following.data["msgId"] == 100_001
    assert [row["text"] for row in rows] == ["hi", "ho"]


async def test_a_refused_send_is_in_no_ledger(served: Served) -> None:
    key = (await served.create())["api_key"]
    early = await send(served, key, text="hi")
    await served.link(1)
    answers = [
        early,
        await send(served, "wrong", text="hi"),
        await send(served, key, text="x" * 4_097),
        await send(served, key, text="hi", to="Ann"),
        await send(served, key, text="hi", mentions=["Ann"]),
        await send(served, key, text="hi", replyTo=1),
    ]

    assert [answer.status for answer in answers] == [400, 401, 422, 422, 422, 422]
    assert await sends(served) == []


# ---------------------------------------------------------------------------------------------- ambiguity


@pytest.mark.parametrize(
    ("switch", "accepted"),
    [
        ({"drop": True}, 0),
        ({"drop": "before"}, 0),
        ({"drop": "after"}, 1),
        ({"status": 500}, 0),
        ({"status": 500, "after": True}, 1),
        ({"html": True, "after": True}, 1),
        ({"empty": True, "after": True}, 1),
        ({"delay_ms": 10, "after": True}, 1),
    ],
)
async def test_a_fault_hits_before_or_after_the_send_was_accepted(
    served: Served, receiver: Receiver, switch: dict[str, Any], accepted: int
) -> None:
    key = (await linked(served, receiver))["api_key"]
    await served.control("POST", "/faults", {"path": "/send-message", **switch})
    try:
        reply = await send(served, key, text="hi")
        outcome = reply.status
    except aiohttp.ClientError:
        outcome = 0

    assert len(await sends(served)) == accepted
    assert (outcome == 0) is ("drop" in switch)
    assert (outcome == 200) is ("empty" in switch or "delay_ms" in switch)


async def test_a_hang_after_accepting_is_a_send_without_an_answer(served: Served, receiver: Receiver) -> None:
    key = (await linked(served, receiver))["api_key"]
    await served.control("POST", "/faults", {"path": "/send-message", "hang": True, "after": True})
    headers, timeout = {"Authorization": f"Bearer {key}"}, aiohttp.ClientTimeout(total=0.3)
    with pytest.raises(TimeoutError):
        await served.http.post(
            served.base + "/api/send-message",
            json={"to": ANN, "text": "hi"},
            headers=headers,
            timeout=timeout,
        )
    await receiver.wait_for_events("message.sent")

    assert [row["text"] for row in await sends(served)] == ["hi"]


# ---------------------------------------------------------------------------------------------- first contacts


async def test_a_restriction_refuses_first_contacts_and_lets_answers_go(
    served: Served, receiver: Receiver
) -> None:
    key = (await linked(served, receiver))["api_key"]
    await served.control("POST", "/sessions/1/inbound", {"from": ANN, "text": "hi"})
    await mode(served, "restricted", times=None)
    answer = await send(served, key, text="hello Ann")
    first = await send(served, key, to="+49301234567", text="hello stranger")

    assert answer.status == 200
    assert first.status == 422
    assert "463" in first.json["message"]
    assert [row["text"] for row in await sends(served)] == ["hello Ann"]


async def test_a_restriction_can_also_show_after_the_send_was_accepted(
    served: Served, receiver: Receiver
) -> None:
    key = (await linked(served, receiver))["api_key"]
    await mode(served, "restricted_later")
    await send(served, key, text="hello stranger")
    (hook,) = await receiver.wait_for_events("message.sent")

    assert hook.body["data"]["success"] is False
    assert "463" in hook.body["data"]["error"]


async def test_a_lid_whose_number_is_not_on_whatsapp_is_refused_too(
    served: Served, receiver: Receiver
) -> None:
    key = (await linked(served, receiver))["api_key"]
    said = await served.control("POST", "/sessions/1/inbound", {"from": ANN, "text": "hi"})
    by_lid = await send(served, key, to=said.data["chat"], text="hi")
    await served.control("POST", "/numbers", {"not_on_whatsapp": [ANN]})
    gone = await send(served, key, to=said.data["chat"], text="hi")

    assert said.data["chat"].endswith("@lid")
    assert (by_lid.status, gone.status) == (200, 422)


# ---------------------------------------------------------------------------------------------- quotes


async def test_an_own_send_is_quoted_by_its_number(served: Served, receiver: Receiver) -> None:
    key = (await linked(served, receiver))["api_key"]
    first = await send(served, key, text="first")
    await send(served, key, text="second", replyTo=first.data["msgId"])
    await receiver.wait_for(lambda r: sum(hook.event == "message.sent" for hook in r.got) == 2)
    told = [hook.body["data"] for hook in receiver.got if hook.event == "message.sent"]
    context = told[1]["message"]["extendedTextMessage"]["contextInfo"]

    assert context["stanzaId"] == told[0]["key"]["id"]
    assert context["quotedMessage"] == {"conversation": "first"}


async def test_a_customers_message_is_quoted_by_the_objects_of_its_webhook_unchanged(
    served: Served, receiver: Receiver
) -> None:
    key = (await linked(served, receiver))["api_key"]
    await served.control(
        "POST", "/sessions/1/inbound", {"from": ANN, "text": "Is it open?", "push_name": "Ann"}
    )
    (hook,) = await receiver.wait_for_events("messages.received")
    item = hook.body["data"]["messages"]
    whole = {"key": item["key"], "message": item["message"]}
    to = item["key"]["remoteJid"]
    rebuilt = {"key": item["key"], "message": {"conversation": "Is it open?"}}
    answers = [
        await send(served, key, to=to, text="Yes", replyToObject=whole),
        await send(served, key, to=to, text="Yes", replyToObject=rebuilt),
        await send(served, key, to=ANN, text="Yes", replyToObject=whole),
        await send(served, key, to=to, text="Yes", replyToObject={"key": item["key"]}),
    ]
    (row,) = await sends(served)

    assert [answer.status for answer in answers] == [200, 422, 422, 422]
    assert row["quoted"] == item["key"]["id"]


async def test_another_session_cannot_quote_what_it_did_not_receive(
    served: Served, receiver: Receiver
) -> None:
    await linked(served, receiver)
    other = await served.create(phone_number="+4915100000000")
    await served.link(other["id"])
    await served.control("POST", "/sessions/1/inbound", {"from": ANN, "text": "hi"})
    (hook,) = await receiver.wait_for_events("messages.received")
    item = hook.body["data"]["messages"]
    quote = {"key": item["key"], "message": item["message"]}
    reply = await send(served, other["api_key"], to=item["key"]["remoteJid"], text="x", replyToObject=quote)

    assert reply.status == 422


# ---------------------------------------------------------------------------------------------- calls


@pytest.mark.parametrize(
    ("wish", "word"),
    [({"plan": "gold"}, "plan"), ({"sent_delay_s": -1}, "sent_delay_s"), ({"hang_max_s": 1}, "hang_max_s")],
)
async def test_a_setting_that_makes_no_sense_is_refused(
    served: Served, wish: dict[str, Any], word: str
) -> None:
    reply = await served.control("POST", "/settings", wish)

    assert reply.status == 422
    assert word in reply.json["error"]


async def test_calls_are_counted_with_the_most_at_once(served: Served, receiver: Receiver) -> None:
    key = (await linked(served, receiver))["api_key"]
    number = (await send(served, key, text="hi")).data["msgId"]
    await served.call("GET", f"/api/messages/{number}/info", token=key)
    await send(served, key)
    rows = (await served.control("GET", "/calls")).data
    counts = {
        (row["method"], row["path"], row["status"]): row["count"] for row in rows if row["session"] == 1
    }

    assert counts == {
        ("POST", "/send-message", 200): 1,
        ("POST", "/send-message", 422): 1,
        ("GET", "/messages/{}/info", 200): 1,
    }
    assert all(row["most_of_session"] == 1 for row in rows if row["session"] == 1)
    assert key not in json.dumps(rows)
