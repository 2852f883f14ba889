"""Client and reader against the simulator: two readings of the same documentation that have to agree."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.domain.errors import SessionNotFound, UpstreamError, UpstreamFailed, UpstreamTimeout
from gateway.domain.message import DeliveryMoved, MessageReceived, MessageSent, StatusReported
from gateway.domain.session_settings import DEFAULTS
from gateway.wasender import webhook
from gateway.wasender.client import WasenderClient
from gateway.wasender.http_transport import Timeouts
from tests.simulator.support import ALL_EVENTS, HELLO, Receiver, Served, linked
from tests.unit.wasender.conftest import Tokens
from tests.unit.wasender.payload_parts import NOW

ANN = "491701234567"


@pytest.fixture
async def client(served: Served) -> AsyncIterator[WasenderClient]:
    token = served.simulator.account_token
    async with WasenderClient(served.base, Tokens(token, token), timeouts=Timeouts(5)) as opened:
        yield opened


async def test_a_session_lives_its_whole_life_through_the_client(
    served: Served, client: WasenderClient
) -> None:
    await client.auth_check()
    fields = {**DEFAULTS, "name": "Shop", "phone_number": "+4915112345678"}
    made = await client.create_session(fields)
    key = made.api_key or ""
    assert (made.status, [session.id for session in await client.list_sessions()]) == (
        "disconnected",
        [made.id],
    )

    reply = await client.connect_session(made.id)
    assert reply.status == "need_scan"
    assert reply.code == await client.get_qr_code(made.id)
    assert await client.get_status(key) == "need_scan"

    await served.control("POST", f"/sessions/{made.id}/scan")
    await served.wait_for_status(made.id, "connected")
    assert await client.get_status(key) == "connected"
    assert "4915112345678" in (await client.get_user(key))["id"]

    sent = await client.send_message(key, {"to": "+" + ANN, "text": "Hi"})
    assert sent.status == "in_progress"
    assert [row["id"] for row in (await client.get_message_logs(made.id))["data"]]
    assert (await client.get_session_logs(made.id, 1, 5))["data"]

    session, warning = await client.update_session(made.id, {"name": "Shop 2"})
    assert (session.name, warning) == ("Shop 2", None)
    await client.restart_session(made.id)
    await served.wait_for_status(made.id, "connected")
    renewed = await client.regenerate_key(made.id)
    assert (await client.get_session(made.id)).api_key == renewed != key

    assert await client.disconnect_session(made.id) == "disconnected"
    await client.delete_session(made.id)
    with pytest.raises(SessionNotFound):
        await client.get_session(made.id)


async def test_a_restart_while_not_connected_names_the_state(served: Served, client: WasenderClient) -> None:
    session_id = (await served.create())["id"]

    with pytest.raises(UpstreamFailed) as refused:
        await client.restart_session(session_id)

    assert refused.value.details == {"reason": "not_connected"}


@pytest.mark.parametrize(
    ("fault", "kind"),
    [({"status": 503}, UpstreamFailed), ({"html": True}, UpstreamFailed), ({"drop": True}, UpstreamTimeout)],
    ids=["503", "html", "drop"],
)
async def test_a_fault_of_upstream_becomes_its_error(
    served: Served, client: WasenderClient, fault: dict[str, Any], kind: type[UpstreamError]
) -> None:
    session_id = (await served.create())["id"]
    await served.control(
        "POST", "/faults", {"path": f"/api/whatsapp-sessions/{session_id}/connect", **fault, "times": 1}
    )

    with pytest.raises(kind):
        await client.connect_session(session_id)

    assert (await client.connect_session(session_id)).status == "need_scan"


@pytest.mark.parametrize(
    "mode",
    [
        "plain",
        "array",
        "bare",
        "lid_only",
        "long_timestamp",
        "ms_timestamp",
        "text_timestamp",
        "no_session_id",
    ],
)
async def test_a_customers_message_is_the_same_in_every_shape(
    served: Served, receiver: Receiver, mode: str
) -> None:
    await linked(served, receiver)
    wish = HELLO | {"timestamp": 1_750_000_000} | ({} if mode == "plain" else {mode: True})
    await served.control("POST", "/sessions/1/inbound", wish)

    for hook in await receiver.wait_for_events("messages.received", "messages.upsert"):
        [change] = webhook.read(hook.body, NOW).changes

        assert isinstance(change, MessageReceived)
        assert (change.text, change.type, change.push_name) == ("hello", "text", "Ann")
        assert change.received_at.timestamp() == 1_750_000_000
        if mode == "lid_only":
            assert change.from_phone == change.chat == change.sender_lid
        else:
            assert (change.from_phone, change.chat) == (ANN, f"{ANN}@s.whatsapp.net")


async def test_every_webhook_of_a_linked_and_sending_session_is_understood(
    served: Served, receiver: Receiver, client: WasenderClient
) -> None:
    await linked(served, receiver)
    session = await client.get_session(1)
    sent = await client.send_message(session.api_key or "", {"to": "+" + ANN, "text": "Hi"})
    await receiver.wait_for_events("session.status", "qrcode.updated", "message.sent", "messages.update")

    readings = [webhook.read(hook.body, NOW) for hook in receiver.got]

    assert sent.msg_id
    assert [
        reading for reading in readings if not reading.known or reading.reason or not reading.changes
    ] == []
    kinds = {type(change) for reading in readings for change in reading.changes}
    assert {StatusReported, MessageSent, DeliveryMoved} <= kinds
    for hook in receiver.got:
        assert webhook.claimed_key(hook.body) == session.api_key
        assert str(session.api_key) not in str(webhook.redact(hook.body, 1, [str(session.api_key)]))


def test_the_events_the_simulator_sends_are_all_known() -> None:
    assert [event for event in ALL_EVENTS if not webhook.read({"event": event}, NOW).known] == []
