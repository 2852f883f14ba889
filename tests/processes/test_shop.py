"""The shop end to end: its own Postgres with its own rows, WasenderAPI as a process elsewhere, webhooks through
the public address, a foreign writer, and a bare WebSocket client.
"""

import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest_asyncio

from gateway.simulator.state import SimulatedSession, World, save
from tests.launcher.running import Remote, reach
from tests.launcher.settings import SECRET
from tests.launcher.terminal import Command, Terminal
from tests.pictures import decode_svg_data_url
from tests.processes.conftest import Role
from tests.processes.upstream import Upstream, simulated

NEW = {"name": "Laden Nord", "phone_number": "+4915100000009"}
INBOUND = {"from": "+49 151 23456789", "text": "Ist offen?", "push_name": "Anna"}


class Shop:
    """The shop's database, the gateway on it, and WasenderAPI."""

    def __init__(self, database: str, remote: Remote, upstream: Upstream, serve: Command) -> None:
        self.database = database
        self.remote = remote
        self.upstream = upstream
        self.serve = serve

    async def link(self) -> int:
        """Creates a session, connects it, scans its code; its number."""
        number: int = (await self.remote.data("POST", "/api/whatsapp-sessions", NEW))["id"]
        async with self.remote.socket() as client:
            await client.subscribe(f"session:{number}")
            await self.remote.data("POST", f"/api/whatsapp-sessions/{number}/connect")
            await client.state("session.qr")
            await self.upstream.control("POST", f"/sessions/{number}/scan")
            assert (await client.state("session.link_ended"))["data"]["reason"] == "connected"
        return number


def _account_of_the_shop() -> World:
    """What WasenderAPI knows of the shop: the numbers of shop.sql. 102 has lost its link meanwhile."""
    numbers = {
        101: ("Laden Mitte", "+4915100000001", "connected"),
        102: ("Lager", "+4915100000002", "disconnected"),
        103: ("Alt", "+4915100000003", "disconnected"),
    }
    world = World(account_token="1|the-shops-account-token", next_session_id=104)
    for number, (name, phone, status) in numbers.items():
        world.sessions[number] = SimulatedSession(
            id=number, name=name, phone_number=phone, api_key=f"shop-key-{number}", status=status,
            webhook_secret=f"shop-secret-{number}", created_at=1.7e9, updated_at=1.7e9, linked=number == 101,
        )  # fmt: skip
    first = world.sessions[101]
    first.webhook_url, first.webhook_enabled = "https://shop.example/webhook.php", True
    first.webhook_events = ["messages.received", "session.status"]
    return world


@pytest_asyncio.fixture
async def shop(terminal: Terminal, shop_database: str, free_port: int) -> AsyncIterator[Shop]:
    state = terminal.folder / "upstream.json"
    save(_account_of_the_shop(), state)
    async with simulated(terminal, state) as upstream:
        env = {
            "DATABASE_URL": shop_database,
            "GATEWAY_SECRET": SECRET,
            "GATEWAY_PORT": str(free_port),
            "GATEWAY_PUBLIC_URL": f"http://127.0.0.1:{free_port}",
            "GATEWAY_TIMEZONE": "Europe/Berlin",
            **upstream.env,
        }
        async with (
            terminal.start("serve", env=env) as serve,
            reach((await serve.line(r"runs at (\S+)"))[1]) as remote,
        ):
            yield Shop(shop_database, remote, upstream, serve)


@contextlib.asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def test_a_phone_is_linked_and_its_customer_answers_by_push_and_in_the_shops_table(shop: Shop) -> None:
    remote, upstream = shop.remote, shop.upstream
    session = await remote.data("POST", "/api/whatsapp-sessions", NEW)
    number = session["id"]
    assert session["webhook_url"] == f"{remote.url}/api/whatsapp/webhook"
    async with remote.socket() as client:
        await client.subscribe(f"session:{number}")
        await client.subscribe("inbox:*")
        await remote.data("POST", f"/api/whatsapp-sessions/{number}/connect")

        code = (await client.state("session.qr"))["data"]
        _, given = await upstream.call("GET", f"/whatsapp-sessions/{number}/qrcode")
        assert code["qrCode"] == given["data"]["qrCode"]
        assert decode_svg_data_url(code["qr_code"]) == given["data"]["qrCode"]

        await upstream.control("POST", f"/sessions/{number}/scan")
        assert (await client.state("session.link_ended"))["data"]["reason"] == "connected"
        assert (await remote.data("GET", f"/api/whatsapp-sessions/{number}"))["status"] == "connected"

        await upstream.control("POST", f"/sessions/{number}/inbound", INBOUND)
        event = await client.event("message.created")

    assert event["topic"] == f"inbox:{number}"
    assert event["data"]["message_text"] == "Ist offen?"
    assert event["data"]["phone"] == "4915123456789"
    async with connected(shop.database) as connection:
        row = await connection.fetchrow(
            "SELECT * FROM whatsapp_incoming_messages WHERE wasender_session_id = $1", number
        )
        counted = await connection.fetchval("SELECT count FROM message_counts WHERE phone = '4915123456789'")
    assert row is not None
    assert (row["message_text"], row["from_phone"]) == ("Ist offen?", "4915123456789")
    assert str(row["id"]) == str(event["data"]["id"])
    assert counted == 1  # the shop's own trigger has seen it, too


async def test_every_webhook_of_a_linking_was_taken_at_the_first_try(shop: Shop) -> None:
    number = await shop.link()
    async with shop.remote.socket() as client:
        await client.subscribe("inbox:*")
        await shop.upstream.control("POST", f"/sessions/{number}/inbound", INBOUND)
        await client.event("message.created")

    deliveries = await shop.upstream.control("GET", "/deliveries")
    assert {row["event"] for row in deliveries} >= {"session.status", "messages.received"}
    assert {row["outcome"] for row in deliveries if row["outcome"] != "waiting"} == {"delivered"}, deliveries


async def test_the_shops_old_sessions_are_listed_with_our_words_and_without_their_keys(shop: Shop) -> None:
    await shop.remote.data("POST", "/api/whatsapp-sessions/sync")
    status, reply = await shop.remote.call("GET", "/api/whatsapp-sessions?sort=name")
    assert status == 200
    listed = {row["id"]: row for row in reply["data"]}

    assert [listed[number]["name"] for number in (101, 102, 103)] == ["Laden Mitte", "Lager", "Alt"]
    statuses = [listed[number]["status"] for number in (101, 102, 103)]
    assert statuses == ["connected", "disconnected", "disconnected"]
    # Naive times of the shop are read in its own zone: 12:00 in Berlin's winter is 11:00 UTC.
    assert listed[101]["created_at"].startswith("2024-11-05T11:00:00")
    assert "shop-key" not in str(reply)
    assert "shop-secret" not in str(reply)


async def test_the_shops_old_messages_are_its_conversations(shop: Shop) -> None:
    page = await shop.remote.data("GET", "/api/conversations")
    names = {row["chat"].partition("@")[0]: row for row in page["conversations"]}
    assert set(names) >= {"4915123456789", "34600111222"}
    assert names["4915123456789"]["name"] == "Anna Berg"

    thread = await shop.remote.data("GET", "/api/conversations/4915123456789/messages")
    texts = [row["message_text"] for row in thread["messages"]]
    assert sorted(texts) == ["Danke", "Ist der Mantel noch da? 🧥"]
    assert "shop-key" not in str(thread)


async def test_no_value_of_the_shops_rows_is_changed_that_says_the_same(shop: Shop) -> None:
    await shop.link()
    await shop.remote.data("POST", "/api/whatsapp-sessions/sync")
    async with connected(shop.database) as connection:
        old = await connection.fetchrow(
            "SELECT status, api_key, session_data::text AS data, updated_at::text AS at FROM whatsapp_sessions"
            " WHERE wasender_session_id = 101"
        )
        texts = await connection.fetch(
            "SELECT raw_data::text AS raw FROM whatsapp_incoming_messages WHERE message_id LIKE '3EB0SHOP%'"
            " ORDER BY message_id"
        )
    assert old is not None
    assert (old["status"], old["api_key"]) == ("CONNECTED", "shop-key-101")
    assert '"api_key": "shop-key-101"' in old["data"]
    assert old["at"] == "2025-03-01 09:30:00.123456"
    assert '"sessionId": "shop-key-101"' in texts[0]["raw"]


async def test_a_row_of_a_foreign_role_that_may_only_insert_is_pushed(shop: Shop, limited_role: Role) -> None:
    async with connected(shop.database) as owner:
        await owner.execute(
            f"""
            GRANT INSERT ON whatsapp_incoming_messages TO {limited_role.name};
            GRANT USAGE ON SEQUENCE whatsapp_incoming_messages_id_seq TO {limited_role.name};
            GRANT SELECT, INSERT, UPDATE ON message_counts TO {limited_role.name};
            """  # the last for the shop's own trigger
        )
        try:
            async with shop.remote.socket() as client, connected(limited_role.dsn(shop.database)) as foreign:
                await client.subscribe("inbox:*")
                await foreign.execute(
                    "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, message_text, raw_data)"
                    " VALUES ('php-1', '+49 151 23456789', 'Vom Laden', '{\"sessionId\": \"shop-key-101\"}')"
                )
                event = await client.event("message.created")
        finally:
            await owner.execute(f"DROP OWNED BY {limited_role.name}")

    assert event["topic"] == "inbox:0"
    assert event["data"]["message_text"] == "Vom Laden"
    assert event["data"]["phone"] == "4915123456789"
    assert "raw_data" not in event["data"]
    assert "shop-key" not in str(event)


async def test_messages_while_the_gateway_was_away_are_there_after_its_return(
    shop: Shop, terminal: Terminal
) -> None:
    async with shop.remote.socket() as client:
        position = (await client.subscribe("inbox:*"))["tops"]
    await shop.serve.stop()
    async with connected(shop.database) as connection:
        await connection.execute(
            "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, message_text)"
            " VALUES ('php-2', '4479', 'In between')"
        )
    env = {"DATABASE_URL": shop.database, "GATEWAY_SECRET": SECRET, **shop.upstream.env}
    async with (
        terminal.start("serve", "--port", "0", env=env) as serve,
        reach((await serve.line(r"runs at (\S+)"))[1]) as remote,
        remote.socket() as client,
    ):
        await client.subscribe("inbox:*", after=position)
        missed = [frame for frame in client.frames if frame["type"] == "event"]

    assert [frame["data"]["message_text"] for frame in missed] == ["In between"]
