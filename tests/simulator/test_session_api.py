"""Calls with a session's key: who is connected, sending, and what became of it."""

from dataclasses import replace

from tests.simulator.support import QUICK, MovedClock, Receiver, Served, serving


async def test_status_is_bare_and_user_has_a_device_suffix(served: Served) -> None:
    key = (await served.create())["api_key"]
    refused = await served.call("GET", "/api/user", token=key)
    await served.link(1)
    status = await served.call("GET", "/api/status", token=key)
    user = await served.call("GET", "/api/user", token=key)

    assert refused.status == 400
    assert "not connected" in refused.json["message"]
    assert status.json == {"status": "connected"}
    assert user.data["id"].startswith("4915112345678:")
    assert user.data["lid"].endswith("@lid")


async def test_a_send_is_accepted_then_reported_step_by_step(served: Served, receiver: Receiver) -> None:
    key = (await served.create(receiver))["api_key"]
    await served.link(1)
    reply = await served.call("POST", "/api/send-message", {"to": "+491701234567", "text": "hi"}, token=key)
    await receiver.wait_for(
        lambda r: (
            [h.body["data"]["update"]["status"] for h in r.got if h.event == "messages.update"] == [2, 3, 4]
        )
    )
    sent, echo, update = await receiver.wait_for_events("message.sent", "messages.upsert", "messages.update")
    info = await served.call("GET", f"/api/messages/{reply.data['msgId']}/info", token=key)
    order = [hook.event for hook in receiver.got if not hook.event.startswith(("session", "qrcode"))]

    assert reply.status == 200
    assert reply.data == {"msgId": 100_000, "jid": "+491701234567", "status": "in_progress"}
    assert order == ["message.sent", "messages.upsert", *["messages.update"] * 3]
    assert sent.body["data"]["success"] is True
    assert echo.body["data"]["messages"]["key"] == sent.body["data"]["key"]
    assert echo.body["data"]["messages"]["key"]["fromMe"] is True
    assert update.body["timestamp"] > 10**12
    assert info.data["id"] == sent.body["data"]["key"]["id"]
    assert info.data["status"] == 4


async def test_a_send_without_content_or_recipient_names_the_fields(served: Served) -> None:
    key = (await served.create())["api_key"]
    reply = await served.call("POST", "/api/send-message", {}, token=key)

    assert reply.status == 422
    assert reply.json["errors"] == {
        "to": ["The to field is required."],
        "text": ["The text field is required when no media is present."],
    }


async def test_a_number_without_whatsapp_is_refused_as_observed(served: Served) -> None:
    key = (await served.create())["api_key"]
    await served.link(1)
    await served.control("POST", "/numbers", {"not_on_whatsapp": ["+49 30 1"]})
    reply = await served.call("POST", "/api/send-message", {"to": "+49301", "text": "hi"}, token=key)

    assert reply.status == 422
    assert reply.json["errors"] == {"to": ["The provided JID does not exist on WhatsApp."]}


async def test_account_protection_lets_one_send_through_every_five_seconds() -> None:
    clock = MovedClock()
    settings = replace(QUICK, connect_delay_s=0, finishing_delay_s=0, retry_after_header=True)
    async with serving(settings=settings, clock=clock) as served:
        key = (await served.create(account_protection=True))["api_key"]
        await served.control("POST", "/faults", {"mode": "slow_qr"})
        await served.account("POST", "/whatsapp-sessions/1/connect")
        clock.move(0)
        await served.control("POST", "/sessions/1/scan")
        clock.move(0)
        message = {"to": "+491701234567", "text": "hi"}
        first = await served.call("POST", "/api/send-message", message, token=key)
        clock.move(1.5)
        second = await served.call("POST", "/api/send-message", message, token=key)
        clock.move(3.5)
        third = await served.call("POST", "/api/send-message", message, token=key)

    assert (first.status, second.status, third.status) == (200, 429, 200)
    assert second.json["retry_after"] == 4
    assert "success" not in second.json
    assert second.headers["Retry-After"] == "4"
    assert second.headers["X-RateLimit-Remaining"] == "0"


async def test_a_failed_send_is_reported_and_logged(served: Served, receiver: Receiver) -> None:
    key = (await served.create(receiver))["api_key"]
    await served.link(1)
    await served.control("POST", "/faults", {"mode": "send_fails"})
    await served.call("POST", "/api/send-message", {"to": "+491701234567", "text": "hi"}, token=key)
    (report,) = await receiver.wait_for_events("message.sent")
    log = (await served.account("GET", "/whatsapp-sessions/1/message-logs?status=failed")).data["data"]

    assert report.body["data"]["success"] is False
    assert "key" not in report.body["data"]
    assert log[0]["failed_reason"] == report.body["data"]["error"]
    assert log[0]["to"] == "+491701234567"


async def test_logs_hide_contents_when_the_session_does_not_keep_them(served: Served) -> None:
    key = (await served.create(log_messages=False))["api_key"]
    await served.link(1)
    await served.call("POST", "/api/send-message", {"to": "+491701234567", "text": "hi"}, token=key)
    row = (await served.account("GET", "/whatsapp-sessions/1/message-logs")).data["data"][0]

    assert (row["to"], row["content"]) == (None, None)
    assert row["id"] == "100000"


async def test_lid_and_phone_number_find_each_other_once_they_met(served: Served) -> None:
    key = (await served.create())["api_key"]
    await served.link(1)
    lid = (await served.call("GET", "/api/lid-from-pn/491701234567", token=key)).data["lid"]
    before = await served.call("GET", f"/api/pn-from-lid/{lid}", token=key)
    await served.control("POST", "/sessions/1/inbound", {"from": "+491701234567", "text": "hi"})
    after = await served.call("GET", f"/api/pn-from-lid/{lid}", token=key)

    assert before.status == 404
    assert after.data == {"pn": "491701234567@s.whatsapp.net"}


async def test_groups_are_known_by_their_messages_and_answer_in_shape(served: Served) -> None:
    key = (await served.create())["api_key"]
    await served.link(1)
    said = await served.control(
        "POST", "/sessions/1/inbound", {"from": "+491701234567", "text": "hi", "group": "Family"}
    )
    jid = said.data["chat"]
    listed = await served.call("GET", "/api/groups", token=key)
    paged = await served.call("GET", "/api/groups?paginated=true&limit=1", token=key)
    metadata = await served.call("GET", f"/api/groups/{jid}/metadata", token=key)
    link = (await served.call("GET", f"/api/groups/{jid}/invite-link", token=key)).json["inviteLink"]
    invite = await served.call("GET", f"/api/groups/invite/{link.rpartition('/')[2]}", token=key)

    assert [row["jid"] for row in listed.data] == [jid]
    assert paged.data["pagination"] == {"page": 1, "limit": 1, "total": 1, "totalPages": 1}
    assert metadata.data["subject"] == "Family"
    assert len(metadata.data["participants"]) == 2
    assert invite.data["id"] == jid


async def test_the_eleventh_group_metadata_call_in_a_minute_is_limited(served: Served) -> None:
    key = (await served.create())["api_key"]
    await served.link(1)
    calls = [await served.call("GET", "/api/groups/1@g.us/metadata", token=key) for _ in range(11)]

    assert [call.status for call in calls] == [404] * 10 + [429]
    assert calls[-1].json["retry_after"] > 0


async def test_an_edit_and_a_deletion_of_a_sent_message(served: Served, receiver: Receiver) -> None:
    key = (await served.create(receiver))["api_key"]
    await served.link(1)
    message = {"to": "+491701234567", "text": "hi"}
    number = (await served.call("POST", "/api/send-message", message, token=key)).data["msgId"]
    edited = await served.call("PUT", f"/api/messages/{number}", {"text": "ho"}, token=key)
    deleted = await served.call("DELETE", f"/api/messages/{number}", token=key)
    (told,) = await receiver.wait_for_events("messages.delete")

    assert edited.data["message"]["protocolMessage"]["editedMessage"]["extendedTextMessage"]["text"] == "ho"
    assert deleted.json == {"success": True, "message": "Message deleted successfully."}
    assert told.body["data"]["keys"] == [edited.data["key"]]
    assert (await served.call("GET", f"/api/messages/{number}/info", token=key)).status == 404
