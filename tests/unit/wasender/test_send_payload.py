"""Messages as upstream takes them, checked against the simulator, which refuses what upstream refuses."""

from typing import Any

import pytest

from gateway.domain.send_content import ContactCard, Content, Location
from gateway.domain.sending import Accepted
from gateway.wasender.client import WasenderClient
from gateway.wasender.messages import Messages
from gateway.wasender.send_payload import (
    QuotedOther,
    QuotedOwn,
    TextNotPossible,
    UploadedFile,
    payload_of,
    recipient,
)
from tests.simulator.support import Receiver, Served, linked
from tests.unit.wasender.conftest import Tokens

CHAT = "491701234567@s.whatsapp.net"


@pytest.mark.parametrize(
    ("content", "file", "body"),
    [
        (Content(text=" *hi* "), None, {"text": " *hi* "}),
        (
            Content(text="@1", mentions=("1@lid",)),
            None,
            {"text": "@1", "mentions": ["1@lid"]},
        ),
        (
            Content(media="m", text="look"),
            UploadedFile("image", "https://u/x.jpg"),
            {"imageUrl": "https://u/x.jpg", "text": "look"},
        ),
        (
            Content(media="m"),
            UploadedFile("document", "https://u/x", "Bill.pdf"),
            {"documentUrl": "https://u/x", "fileName": "Bill.pdf"},
        ),
        (Content(media="m"), UploadedFile("audio", "https://u/x", "v.ogg"), {"audioUrl": "https://u/x"}),
        (
            Content(location=Location(52.5, 13.4, "Shop")),
            None,
            {"location": {"latitude": 52.5, "longitude": 13.4, "name": "Shop"}},
        ),
        (
            Content(contact=ContactCard("Ann", "491701234567")),
            None,
            {"contact": {"name": "Ann", "phone": "+491701234567"}},
        ),
    ],
)
async def test_each_kind_has_its_field_and_the_simulator_takes_it(
    served: Served, receiver: Receiver, content: Content, file: UploadedFile | None, body: dict[str, Any]
) -> None:
    made = payload_of(CHAT, content, file)
    key = (await linked(served, receiver))["api_key"]
    reply = await served.call("POST", "/api/send-message", made, token=key)

    assert made == {"to": "+491701234567", **body}
    assert reply.status == 200, reply.text


@pytest.mark.parametrize("kind", ["audio", "sticker"])
def test_a_text_that_upstream_would_drop_is_refused(kind: Any) -> None:
    with pytest.raises(TextNotPossible):
        payload_of(CHAT, Content(media="m", text="x"), UploadedFile(kind, "https://u/x"))


@pytest.mark.parametrize(
    ("chat", "to"),
    [
        (CHAT, "+491701234567"),
        ("555555555@lid", "555555555@lid"),
        ("120363000000000001@g.us", "120363000000000001@g.us"),
        ("1@newsletter", "1@newsletter"),
    ],
)
def test_a_chat_is_addressed_by_number_or_jid(chat: str, to: str) -> None:
    assert recipient(chat) == to


async def test_both_kinds_of_quotes_are_taken(served: Served, receiver: Receiver) -> None:
    key = (await linked(served, receiver))["api_key"]
    await served.control("POST", "/sessions/1/inbound", {"from": "+491701234567", "text": "open?"})
    (hook,) = await receiver.wait_for_events("messages.received")
    item = hook.body["data"]["messages"]
    async with WasenderClient(served.base, Tokens()) as client:
        messages = Messages(client)
        theirs = QuotedOther(item["key"], item["message"])
        first = await messages.send(key, payload_of(CHAT, Content(text="yes"), quoted=theirs))
        assert isinstance(first, Accepted), first
        mine = payload_of(CHAT, Content(text="until six"), quoted=QuotedOwn(first.msg_id))
        second = await messages.send(key, mine)
    rows = (await served.control("GET", "/sends")).data

    assert isinstance(second, Accepted)
    assert rows[0]["quoted"] == item["key"]["id"]
    assert rows[0]["to"] == item["key"]["remoteJid"]
    assert rows[1]["reply_to"] == first.msg_id
