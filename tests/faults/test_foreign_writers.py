"""The shop's own code writes to the same tables: late commits, held transactions, rollbacks, savepoints."""

import asyncio
import random

import aiohttp
import asyncpg

from tests.faults import oracle
from tests.faults.browser import Browser
from tests.faults.ledger import Ledger
from tests.faults.writers import Sender, ShopWriter, add_session, message
from tests.launcher.running import Running
from tests.postgres.writers import insert_message
from tests.realtime.live import offs_of, until

INBOXES = range(1, 4)


async def test_a_row_that_took_its_id_early_and_commits_late_is_not_passed_over(
    live: Running, database: str, writer: asyncpg.Connection
) -> None:
    """The commit-order adversary: whoever reads `id > cursor` loses the first row for ever."""
    early = await asyncpg.connect(database)
    async with live.socket() as browser:
        await browser.subscribe("inbox:12")
        transaction = early.transaction()
        await transaction.start()
        first = await insert_message(early, 12, message_text="written first, committed last")
        for number in range(20):
            later = await insert_message(writer, 12, message_text=f"text {number}")
            assert (await browser.event("message.created"))["data"]["id"] == str(later)
        await transaction.commit()

        assert (await browser.event("message.created"))["data"]["id"] == str(first)
        assert later > first
        assert offs_of(browser.frames) == list(range(1, 22))
    await early.close()


async def test_a_held_transaction_delays_no_delivery_and_no_webhook(
    live: Running, database: str, writer: asyncpg.Connection, http: aiohttp.ClientSession
) -> None:
    await add_session(writer, 12)
    holder = await asyncpg.connect(database)
    async with live.socket() as browser:
        await browser.subscribe("inbox:12")
        transaction = holder.transaction()
        await transaction.start()
        await insert_message(holder, 12, message_text="never committed")
        for number in range(10):
            assert await Sender(lambda: live.url, http, 12).once(message(f"K{number}")) == 200
            await browser.event("message.created")
            await insert_message(writer, 12)
            await browser.event("message.created")
        await transaction.rollback()
        await insert_message(writer, 12, message_text="the end")
        end = await browser.event("message.created")

        assert end["data"]["message_text"] == "the end"
        assert offs_of(browser.frames) == list(range(1, 22))
    await holder.close()


async def test_what_is_committed_is_shown_and_what_is_rolled_back_never_was(
    live: Running, database: str, writer: asyncpg.Connection
) -> None:
    """Eight writers for a moment: several inboxes in one transaction, held, rolled back, with savepoints."""
    ledger, stop = Ledger(), asyncio.Event()
    browser = Browser("browser", lambda: live.url, live.token(), after={})
    dice = random.Random(5)
    for inbox in INBOXES:
        await add_session(writer, inbox)
    async with asyncio.TaskGroup() as group:
        life = group.create_task(browser.run(), name="browser")
        writers = [
            group.create_task(
                ShopWriter(lambda: database, ledger, random.Random(dice.random()), str(number)).write(INBOXES, stop),
                name=f"writer-{number}",
            )
            for number in range(8)
        ]  # fmt: skip
        await until(lambda: ledger.count("kept") > 600 and ledger.count("gone") > 30, "enough is written")
        stop.set()
        await asyncio.wait(writers)
        truth = await oracle.look(writer)
        await until(lambda: truth.is_shown_by(browser, INBOXES), "all is shown")
        life.cancel()

    assert truth.complaints(ledger) == []
    assert truth.complaints_about(browser, INBOXES, rows=True) == []
    assert browser.doubles == 0
