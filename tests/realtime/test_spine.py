"""The main job over `/ws` with a bare WebSocket client: link a phone, receive a customer's message."""

import asyncpg

from tests.launcher.running import Running
from tests.pictures import decode_svg_data_url


async def test_a_phone_is_linked_and_a_customers_message_arrives_by_push(
    gateway: Running, database: str
) -> None:
    session = await gateway.data(
        "POST", "/api/whatsapp-sessions", {"name": "Shop", "phone_number": "+15550001111"}
    )
    number = session["id"]
    async with gateway.socket() as socket:
        await socket.subscribe(f"session:{number}")
        await socket.subscribe("inbox:*")
        await gateway.data("POST", f"/api/whatsapp-sessions/{number}/connect")

        code = await socket.state("session.qr")
        assert decode_svg_data_url(code["data"]["qr_code"]) == code["data"]["qrCode"]

        await gateway.data("POST", f"/_simulator/sessions/{number}/scan", token="")
        ended = await socket.state("session.link_ended")
        assert ended["data"]["reason"] == "connected"

        inbound = {"from": "+4915123456789", "text": "Is it open?", "push_name": "Ann"}
        await gateway.data("POST", f"/_simulator/sessions/{number}/inbound", inbound, token="")
        created = await socket.event("message.created")
        assert created["topic"] == f"inbox:{number}"
        assert created["data"]["message_text"] == "Is it open?"
        assert created["data"]["phone"] == "4915123456789"

        connection = await asyncpg.connect(database)
        await connection.execute(
            "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, message_text) VALUES ('x1', '4479', 'hi')"
        )
        await connection.close()
        foreign = await socket.event("message.created")
        assert foreign["topic"] == "inbox:0"
        assert foreign["data"]["message_text"] == "hi"
