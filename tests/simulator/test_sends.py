"""What the simulator accepts to send, what it tells of it afterwards, and what it answers when it does not."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.simulator.support import (
    ALL_EVENTS,
    QUICK,
    MovedClock,
    Receiver,
    Reply,
    Served,
    Webhook,
    linked,
    receiving,
    serving,
)

ANN = "+491701234567"
ANN_JID = "491701234567@s.whatsapp.net"


async def send(served: Served, key: str, **body: Any) -> Reply:
    return await served.call("POST", "/api/send-message", {"to": ANN, **body}, token=key)


async def sends(served: Served, query: str = "") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await served.control("GET", f"/sends{query}")).data
    return rows


async def mode(served: Served, name: str, **more: Any) -> None:
    reply = await served.control("POST", "/faults", {"mode": name, **more})
    assert reply.status == 200, reply.text


def states_of(receiver: Receiver) -> list[int]:
    return [hook.body["data"]["update"]["status"] for hook in receiver.got if hook.event == "messages.update"]


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


# ---------------------------------------------------------------------------------------------- limits


async def _protected(served: Served, clock: MovedClock, **fields: Any) -> str:
    key: str = (await served.create(**fields))["api_key"]
    await served.control("POST", "/faults", {"mode": "slow_qr"})
    await served.account("POST", "/whatsapp-sessions/1/connect")
    clock.move(1)
    await served.control("POST", "/sessions/1/scan")
    clock.move(1)
    return key


async def test_a_trial_sends_one_a_minute_and_fifty_a_day() -> None:
    clock = MovedClock()
    async with serving(settings=replace(QUICK, plan="trial"), clock=clock) as served:
        key = await _protected(served, clock)
        answers = []
        for _ in range(52):
            answers.append(await send(served, key, text="hi"))
            clock.move(61)
        soon = await send(served, key, text="hi")

    assert [answer.status for answer in answers] == [200] * 50 + [429] * 2
    assert answers[0].headers["X-RateLimit-Limit"] == "1"
    assert answers[0].headers["x-ratelimit-daily-remaining"] == "49"
    assert answers[50].json["retry_after"] > 3600
    assert soon.status == 429


async def test_limits_are_told_with_and_without_headers_and_bodies() -> None:
    clock = MovedClock()
    async with serving(clock=clock) as served:
        key = await _protected(served, clock)
        await served.control("POST", "/settings", {"sends_per_minute": 1})
        told = await send(served, key, text="1")
        refused = await send(served, key, text="2")
        silent = {"limit_headers": False, "retry_after_in_body": False}
        await served.control("POST", "/settings", silent)
        mute = await send(served, key, text="3")
        await served.control("POST", "/settings", {"limit_headers": True, "sends_per_minute": None})
        unlimited = await send(served, key, text="4")

    assert told.headers["X-RateLimit-Remaining"] == "0"
    assert refused.json["retry_after"] == 60
    assert mute.status == 429
    assert set(mute.json) == {"message"}
    assert not [name for name in (*mute.headers, *unlimited.headers) if "RateLimit" in name]
    assert unlimited.status == 200


async def test_without_a_subscription_every_send_is_a_403_in_words(served: Served) -> None:
    key = (await served.create())["api_key"]
    await served.control("POST", "/settings", {"has_subscription": False})
    reply = await send(served, key, text="hi")

    assert reply.status == 403
    assert "subscription" in reply.json["message"]


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


async def test_a_call_is_told_as_a_webhook(served: Served, receiver: Receiver) -> None:
    await linked(served, receiver, webhook_events=["call"])
    await served.control("POST", "/sessions/1/call", {"from": ANN, "video": True})
    (hook,) = await receiver.wait_for_events("call")

    assert hook.body["data"]["call"]["from"] == ANN_JID
    assert hook.body["data"]["call"]["isVideo"] is True
    assert hook.body["data"]["call"]["status"] == "offer"
