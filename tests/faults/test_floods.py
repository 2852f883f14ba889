"""A foreign writer changes everything at once: no gigabyte of events, a new epoch, and everybody else goes on.

The rule begins at 5,001 rows, and what comes after does not depend on how many they are: twenty thousand stand for a
million here.
"""

from pathlib import Path

import asyncpg

from tests.faults.server import Server
from tests.faults.town import following, town
from tests.faults.writers import add_session
from tests.launcher.child import client_of
from tests.postgres.writers import insert_many, insert_message
from tests.realtime.live import until

ROWS = 20_000
MIB = 1 << 20


async def test_an_update_of_everything_is_one_reset_and_delays_no_other_inbox(
    server: Server, tmp_path: Path, way: str
) -> None:
    async with town(server, tmp_path, ways=(way,)) as place:
        writer, foreign = await asyncpg.connect(place.dsn), await asyncpg.connect(place.dsn)
        child = place.houses[0].child
        for inbox in (7, 12):
            await add_session(writer, inbox)
        for _ in range(ROWS // 5000):
            await insert_many(writer, 12, 5000)
        async with client_of(child) as http:
            position = (await http.data("GET", "/api/conversations"))["position"]
        after = {int(inbox): top for inbox, top in position.items()}
        async with following(place, after=after) as browser:
            before = child.rss_bytes()
            async with foreign.transaction():
                await foreign.execute("UPDATE whatsapp_incoming_messages SET is_read = true")
                await insert_message(writer, 7)
                await until(lambda: browser.offs.get(7) == 1, "another inbox is not delayed")
                await insert_message(writer, 12, message_text="before the commit")
                await until(lambda: browser.offs.get(12) == ROWS + 1, "not even the same one is")
                assert browser.resets == []
            await until(lambda: len(browser.resets) == 1, "it is told once")
            await insert_message(writer, 12, message_text="afterwards")
            await until(lambda: len(browser.shown[12]) == 1, "events go on from there")

            reset = browser.resets[0]
            assert (reset["topic"], reset["reason"], reset["off"]) == ("inbox:12", "epoch_changed", ROWS + 2)
            assert browser.offs[12] == ROWS + 3
            assert browser.complaints == []
            assert child.rss_bytes() - before < 50 * MIB
        async with client_of(child) as http:
            position = (await http.data("GET", "/api/conversations"))["position"]["12"]
            assert position == {"off": browser.offs[12], "epoch": browser.epochs[12]}
        await writer.close()
        await foreign.close()


async def test_truncate_resets_every_inbox_and_nothing_is_shown_that_is_gone(
    server: Server, tmp_path: Path, way: str
) -> None:
    async with town(server, tmp_path, ways=(way,)) as place:
        writer = await asyncpg.connect(place.dsn)
        for inbox in (7, 12):
            await add_session(writer, inbox)
            await insert_message(writer, inbox)
        async with following(place) as browser:
            await until(lambda: browser.offs.get(7) == browser.offs.get(12) == 1, "all is well")
            await writer.execute("TRUNCATE whatsapp_incoming_messages")
            told = {"inbox:0", "inbox:7", "inbox:12"}
            await until(lambda: {frame["topic"] for frame in browser.resets} == told, "all are told")
            assert browser.rows == {}
            await insert_message(writer, 7, message_text="new")
            await until(lambda: len(browser.rows) == 1, "events go on")

            assert {frame["reason"] for frame in browser.resets} == {"epoch_changed"}
            assert len(browser.resets) == 3
            assert browser.complaints == []
        await writer.close()
