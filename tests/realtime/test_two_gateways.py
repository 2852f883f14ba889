"""Two gateways on one database: it does not matter at which one a browser is, or a webhook comes in."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg

from tests.launcher.running import Running, running
from tests.launcher.settings import NOWHERE, settings_for
from tests.postgres.writers import insert_message
from tests.realtime.live import heard, offs_of


@contextlib.asynccontextmanager
async def second(database: str, folder: Path) -> AsyncIterator[Running]:
    """Another gateway; its upstream is nowhere, so it can only live on what the database says."""
    async with running(settings_for(database, folder, **NOWHERE)) as started:
        yield started


async def linking(gateway: Running) -> int:
    session = await gateway.data(
        "POST", "/api/whatsapp-sessions", {"name": "Shop", "phone_number": "+15550001111"}
    )
    number: int = session["id"]
    await gateway.data("POST", f"/api/whatsapp-sessions/{number}/connect")
    return number


async def test_an_event_reaches_the_browsers_of_both(
    live: Running, database: str, tmp_path: Path, writer: asyncpg.Connection
) -> None:
    async with second(database, tmp_path / "b") as other, live.socket() as here, other.socket() as there:
        for socket in (here, there):
            await socket.subscribe("inbox:*")
        await insert_message(writer, 12, message_text="for all")

        for socket in (here, there):
            event = await socket.event("message.created")
            assert (event["topic"], event["off"]) == ("inbox:12", 1)
            assert event["data"]["message_text"] == "for all"


async def test_a_browser_that_moves_to_the_other_goes_on_where_it_was(
    live: Running, database: str, tmp_path: Path, writer: asyncpg.Connection
) -> None:
    async with second(database, tmp_path / "b") as other:
        async with live.socket() as here:
            position = await here.subscribe("inbox:12")
            await insert_message(writer, 12)
            await here.event("message.created")
        await insert_message(writer, 12)
        await heard(other, 12, 2)
        async with other.socket() as there:
            await there.subscribe("inbox:12", after={"off": 1, "epoch": position["epoch"]})

            assert offs_of(there.frames) == [2]


async def test_the_code_of_one_poller_reaches_viewers_of_both(
    live: Running, database: str, tmp_path: Path
) -> None:
    async with second(database, tmp_path / "b") as other:
        number = await linking(live)
        async with live.socket() as here, other.socket() as there:
            codes = []
            for socket in (here, there):
                values = (await socket.subscribe(f"session:{number}"))["state"]
                links = [value for value in values if value["part"] == "link"]
                codes.append(links[0] if links else await socket.state("session.qr"))

            assert codes[0]["data"] == codes[1]["data"]
            assert codes[0]["data"]["qr_code"].startswith("data:image/svg+xml;")


async def test_a_webhook_at_one_gateway_moves_the_attempt_of_the_other(
    live: Running, database: str, tmp_path: Path, writer: asyncpg.Connection
) -> None:
    async with second(database, tmp_path / "b") as other:
        number = await linking(live)
        secret = await writer.fetchval("SELECT webhook_secret FROM whatsapp_sessions")
        async with live.socket() as here, other.socket() as there:
            for socket in (here, there):
                values = (await socket.subscribe(f"session:{number}"))["state"]
                if not [value for value in values if value["part"] == "link"]:
                    await socket.state("session.qr")
            body = {"event": "qrcode.updated", "data": {"qr": "2@from the webhook"}}
            status, _ = await other.call(
                "POST",
                f"/api/whatsapp/webhook/{number}",
                body,
                token="",
                headers={"X-Webhook-Signature": secret},
            )
            assert status == 200

            for socket in (here, there):
                # Upstream's own code may follow so closely that this one is replaced before it is sent.
                code = await socket.next("state", lambda frame: frame["data"].get("seq", 0) >= 2)
                assert code["event"] == "session.qr"


async def test_a_message_that_one_gateway_takes_in_is_pushed_by_the_other(
    live: Running, database: str, tmp_path: Path
) -> None:
    async with second(database, tmp_path / "b") as other, other.socket() as there:
        await there.subscribe("inbox:*")
        await there.subscribe("sessions")
        number = await linking(live)
        await there.next("state", lambda frame: frame["data"]["status"] == "need_scan")
        await live.data("POST", f"/_simulator/sessions/{number}/scan", token="")
        await there.next("state", lambda frame: frame["data"]["status"] == "connected")
        inbound = {"from": "+4915123456789", "text": "hello", "push_name": "Ann"}
        await live.data("POST", f"/_simulator/sessions/{number}/inbound", inbound, token="")

        assert (await there.event("message.created"))["data"]["message_text"] == "hello"
