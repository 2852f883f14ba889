"""A browser that was away comes back to everything, once, and in order."""

import aiohttp
import asyncpg

from gateway.domain.session import SessionId
from tests.faults.writers import Sender, add_session, message, status_report
from tests.launcher.running import Running, Socket
from tests.postgres.writers import insert_message
from tests.realtime.live import offs_of, until


async def all_of(browser: Socket, off: int) -> None:
    """Reads on until that event has come; it may have been replayed before `subscribed`."""
    while off not in offs_of(browser.frames):
        await browser.receive()


async def test_fifty_messages_and_five_statuses_during_an_absence(
    live: Running, writer: asyncpg.Connection, http: aiohttp.ClientSession
) -> None:
    """Messages come as events, each one; of a status only the newest is worth anything."""
    await add_session(writer, 12)
    await until(lambda: live.gateway.live.states.session(SessionId(12)) is not None, "the session is known")
    sender = Sender(lambda: live.url, http, 12)
    async with live.socket() as browser:
        position = await browser.subscribe("inbox:12")
        before = (await browser.subscribe("sessions"))["state"][0]
    for number in range(50):
        if number % 2:
            await insert_message(writer, 12, message_text=f"text {number}")
        else:
            assert await sender.once(message(f"K{number}", f"text {number}")) == 200
        if number % 10 == 0:
            status = ("disconnected", "connecting", "need_scan", "connected", "logged_out")[number // 10]
            assert await sender.once(status_report(status)) == 200

    async with live.socket() as browser:
        after = {"off": position["off"], "epoch": position["epoch"]}
        await browser.subscribe("inbox:12", after=after)
        states = (await browser.subscribe("sessions"))["state"]
        await all_of(browser, 50)
        while states[-1]["data"]["status"] != "logged_out":
            states.append(await browser.next("state"))

    assert offs_of(browser.frames) == list(range(1, 51))
    texts = [frame["data"]["message_text"] for frame in browser.frames if frame["type"] == "event"]
    assert texts == [f"text {number}" for number in range(50)]
    assert states[-1]["version"] > before["version"]
    assert len(states) <= 2  # what it was meanwhile is of no interest


async def test_delivery_states_during_an_absence_come_one_by_one(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with live.socket() as browser:
        position = await browser.subscribe("inbox:12")
    await writer.execute(
        "INSERT INTO whatsapp_outgoing_messages (wasender_session_id, to_phone, message_text, status) "
        "VALUES (12, '4915123456789', 'Hi', 'queued')"
    )
    for status in ("sent", "delivered", "read", "failed"):
        await writer.execute("UPDATE whatsapp_outgoing_messages SET status = $1", status)

    async with live.socket() as browser:
        await browser.subscribe("inbox:12", after={"off": position["off"], "epoch": position["epoch"]})
        await all_of(browser, 5)

    told = [(frame["event"], frame["data"]["status"]) for frame in browser.frames if frame["type"] == "event"]
    assert told == [("message.created", "queued")] + [
        ("message.status", status) for status in ("sent", "delivered", "read", "failed")
    ]
