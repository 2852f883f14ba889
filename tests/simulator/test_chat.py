"""A chat as the customer's phone shows it."""

from typing import Any

from gateway.simulator import samples
from tests.simulator.support import Receiver, Served, linked

ANN = "+491701234567"


async def chat(served: Served, phone: str = "491701234567") -> dict[str, Any]:
    shown: dict[str, Any] = (await served.control("GET", f"/sessions/1/chats/{phone}")).data
    return shown


async def write(served: Served, **wish: Any) -> str:
    reply = await served.control("POST", "/sessions/1/inbound", {"from": ANN, **wish})
    assert reply.status == 200, reply.text
    key_id: str = reply.data["key_id"]
    return key_id


async def test_a_chat_shows_both_sides_in_one_order(served: Served, receiver: Receiver) -> None:
    key = (await linked(served, receiver))["api_key"]
    await write(served, text="Is it open?", push_name="Ann")
    by_lid = (await chat(served))["messages"][0]
    (hook,) = await receiver.wait_for_events("messages.received")
    to = hook.body["data"]["messages"]["key"]["remoteJid"]
    await served.call("POST", "/api/send-message", {"to": to, "text": "Yes"}, token=key)
    await served.call("POST", "/api/send-message", {"to": ANN, "text": "until six"}, token=key)
    await write(served, from_me=True, text="typed on the phone")
    messages = (await chat(served))["messages"]
    (listed,) = (await served.control("GET", "/sessions/1/chats")).data

    assert by_lid["from_shop"] is False
    assert [(row["text"], row["from_shop"]) for row in messages] == [
        ("Is it open?", False),
        ("Yes", True),
        ("until six", True),
        ("typed on the phone", True),
    ]
    assert (listed["phone"], listed["name"]) == ("491701234567", "Ann")


async def test_typing_shows_until_the_shop_stops_or_writes(served: Served, receiver: Receiver) -> None:
    key = (await linked(served, receiver))["api_key"]
    jid = "491701234567@s.whatsapp.net"
    said = {"jid": jid, "type": "composing"}
    await served.call("POST", "/api/send-presence-update", said, token=key)
    typing = (await chat(served))["shop"]
    await served.call("POST", "/api/send-presence-update", said | {"type": "paused"}, token=key)
    paused = (await chat(served))["shop"]
    await served.call("POST", "/api/send-presence-update", said | {"type": "recording"}, token=key)
    recording = (await chat(served))["shop"]
    await served.call("POST", "/api/send-message", {"to": ANN, "text": "hi"}, token=key)
    written = (await chat(served))["shop"]

    assert (typing, paused, recording, written) == ("composing", None, "recording", None)


async def test_a_customer_reads_and_plays_when_it_wants_to(served: Served, receiver: Receiver) -> None:
    await served.control("POST", "/settings", {"plays_by_itself": False})
    key = (await linked(served, receiver))["api_key"]
    reply = await served.call("POST", "/api/send-message", {"to": ANN, "text": "hi"}, token=key)
    await receiver.wait_for_events("messages.update")
    before = (await chat(served))["messages"][0]["state"]
    read = (await served.control("POST", "/sessions/1/chats/491701234567/read", {})).data["read"]
    wish = {"msgId": reply.data["msgId"]}
    await served.control("POST", "/sessions/1/chats/491701234567/read", wish)
    after = (await chat(served))["messages"][0]["state"]

    assert (before, read, after) == (2, 1, 5)


async def test_edits_deletions_reactions_and_reading_show_in_the_chat(
    served: Served, receiver: Receiver
) -> None:
    key = (await linked(served, receiver))["api_key"]
    first = await write(served, text="one")
    await write(served, edit={"key_id": first, "text": "uno"})
    second = await write(served, text="two")
    await write(served, delete={"key_id": second})
    number = (await served.call("POST", "/api/send-message", {"to": ANN, "text": "hi"}, token=key)).data[
        "msgId"
    ]
    await receiver.wait_for_events("message.sent")
    sent = (await served.control("GET", "/sends")).data[0]["key_id"]
    await write(served, reaction={"key_id": sent, "text": "👍", "from_me": True})
    await served.call("PUT", f"/api/messages/{number}", {"text": "hello"}, token=key)
    read = {"key": {"id": first, "remoteJid": "x@lid", "fromMe": False}}
    await served.call("POST", "/api/messages/read", read, token=key)
    rows = {row["id"]: row for row in (await chat(served))["messages"]}

    assert (rows[first]["text"], rows[first]["edited"], rows[first]["read"]) == ("uno", True, True)
    assert rows[second]["deleted"] is True
    assert (rows[sent]["text"], rows[sent]["edited"], rows[sent]["reaction"]) == ("hello", True, "👍")


async def test_the_page_gets_files_in_plain_and_never_as_a_page(served: Served, receiver: Receiver) -> None:
    await linked(served, receiver)
    await write(served, media={"kind": "image"})
    page = {"kind": "document", "mime": "text/html", "name": "a.html", "base64": "PGI+"}
    await write(served, media=page)
    files = [row["file"] for row in (await chat(served))["messages"]]
    answers = []
    for file in files:
        url = f"{served.base}/_simulator/media/{file['name']}?type={file['mime']}"
        async with served.http.get(url) as reply:
            answers.append((await reply.read(), dict(reply.headers)))

    assert answers[0][0] == samples.sample("image")
    assert answers[0][1]["Content-Type"] == "image/jpeg"
    assert answers[1][0] == b"<b>"
    assert answers[1][1]["Content-Type"] == "application/octet-stream"
    assert "sandbox" in answers[1][1]["Content-Security-Policy"]
