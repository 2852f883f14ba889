"""Foreign transactions on the shop's tables: nobody waits for them but who needs the very row they hold."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.http.support import Shop, eventually, moved, received, sent
from tests.postgres.writers import insert_message
from tests.unit.wasender import payload_parts as parts

SOON_S = 30.0
"""The strangers of these tests hold what they hold until they are told to let go; this is for a busy machine."""


@pytest.fixture(autouse=True)
def patience(shop: Shop) -> None:
    """Nobody is sent to the spool: who waits for a stranger waits until the stranger lets go."""
    shop.gateway.gateway.services.ingest.patience_s = 60.0


@contextlib.asynccontextmanager
async def stranger(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A foreign transaction, open until the block ends; rolled back unless committed before."""
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("BEGIN")
        yield connection
    finally:
        await connection.close()


async def test_an_open_insert_delays_neither_webhooks_nor_deliveries(shop: Shop, database: str) -> None:
    async with shop.gateway.socket() as socket:
        await socket.subscribe("inbox:*")
        async with stranger(database) as other:
            await insert_message(other, 12, message_id="open")
            async with asyncio.timeout(SOON_S):
                await shop.take(received("same inbox", key_id="same"), 12)
                same = await socket.event("message.created")
            async with asyncio.timeout(SOON_S):
                await shop.take(received("other inbox", key_id="other"), 13)
                await socket.event("message.created")
            await other.execute("COMMIT")
            late = await socket.event("message.created")

    assert same["data"]["message_id"] == "same"
    assert (late["data"]["message_id"], late["off"]) == ("open", same["off"] + 1)


async def test_an_open_change_of_the_sessions_row_delays_no_message(shop: Shop, database: str) -> None:
    async with stranger(database) as other:
        await other.execute(
            "UPDATE whatsapp_sessions SET name = 'being renamed' WHERE wasender_session_id = 12"
        )
        async with asyncio.timeout(SOON_S):
            await shop.take(received())


async def test_only_the_webhook_whose_row_is_held_waits(shop: Shop, database: str) -> None:
    async with stranger(database) as other:
        await insert_message(other, None, message_id="held")
        held = asyncio.create_task(shop.take(received(key_id="held")), name="held")
        async with asyncio.timeout(SOON_S):
            await asyncio.gather(*(shop.take(received(key_id=f"free {number}")) for number in range(40)))
        assert not held.done()
        await other.execute("COMMIT")
        await held

    found = {row["message_id"]: row["wasender_session_id"] for row in await shop.rows()}
    assert len(found) == 41
    assert found["held"] == 12


async def test_many_held_rows_in_one_batch_delay_nobody_else(shop: Shop, database: str) -> None:
    async with stranger(database) as other:
        for number in range(30):
            await insert_message(other, None, message_id=f"held {number}")
        held = [
            asyncio.create_task(shop.take(received(key_id=f"held {number}")), name="held")
            for number in range(30)
        ]
        async with asyncio.timeout(SOON_S):
            for number in range(30):
                await shop.take(received(key_id=f"free {number}"))
                await shop.gateway.data("GET", "/api/conversations")
        assert not any(task.done() for task in held)
        await other.execute("COMMIT")
        await asyncio.gather(*held)

    assert len(await shop.rows()) == 60


async def test_a_shop_that_locks_rows_crosswise_to_a_batch_never_loses_its_transaction(
    shop: Shop, database: str
) -> None:
    """A batch takes its rows in order; the stranger takes them backwards and asks for one that the batch has."""
    keys = [f"K{number:02}" for number in range(10)]
    for _ in range(3):
        async with stranger(database) as other:
            await insert_message(other, None, message_id=keys[-1])
            webhooks = [asyncio.create_task(shop.take(received(key_id=key)), name=key) for key in keys[:-1]]
            webhooks.append(asyncio.create_task(shop.take(received(key_id=keys[-1])), name="held"))
            await other.execute(
                "INSERT INTO whatsapp_incoming_messages (message_id, from_phone) VALUES ($1, '49151')"
                " ON CONFLICT DO NOTHING",
                keys[0],
            )
            await other.execute("COMMIT")
            await asyncio.gather(*webhooks)
        await shop.db.execute("DELETE FROM whatsapp_incoming_messages")


async def test_a_held_outgoing_row_keeps_its_tick_waiting_and_nothing_else(shop: Shop, database: str) -> None:
    await shop.take(sent())
    async with stranger(database) as other:
        await other.execute("UPDATE whatsapp_outgoing_messages SET error = 'held'")
        tick = asyncio.create_task(shop.take(moved(4)), name="tick")
        async with asyncio.timeout(SOON_S):
            await asyncio.gather(*(shop.take(received(key_id=f"free {number}")) for number in range(10)))
        await other.execute("COMMIT")
        await tick

    assert (await shop.rows("whatsapp_outgoing_messages"))[0]["status"] == "read"


async def test_many_webhooks_at_once_share_transactions(shop: Shop) -> None:
    count = 200
    await shop.take(received())

    await asyncio.gather(*(shop.take(received(key_id=f"KEY{number}")) for number in range(count)))

    transactions = await shop.db.fetchval("SELECT count(DISTINCT xmin::text) FROM gateway.journal")
    assert await shop.db.fetchval("SELECT count(*) FROM gateway.journal") == count + 1
    assert transactions < count / 3


@pytest.mark.parametrize("bad", [0, 7, 19])
async def test_one_refused_row_of_a_batch_is_journalled_and_the_others_are_stored(
    shop: Shop, bad: int
) -> None:
    await shop.db.execute("ALTER TABLE whatsapp_incoming_messages ADD CHECK (message_text <> 'refuse me')")
    texts = ["refuse me" if number == bad else "fine" for number in range(20)]

    await asyncio.gather(
        *(shop.take(received(text, key_id=f"KEY{number}")) for number, text in enumerate(texts))
    )

    assert (
        sorted(await shop.outcomes())
        == [("messages.received", "failed")] + [("messages.received", "stored")] * 19
    )
    failed = await shop.one("SELECT * FROM gateway.journal WHERE outcome = 'failed'")
    assert failed["body"]["data"]["messages"]["key"]["id"] == f"KEY{bad}"
    assert "check constraint" in failed["reason"]
    assert len(await shop.rows()) == 19


async def test_a_row_that_the_shops_trigger_refuses_under_a_code_of_its_own_fails_alone(shop: Shop) -> None:
    await shop.db.execute(
        """
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF NEW.message_text = 'refuse me' THEN
                RAISE EXCEPTION 'not in my shop' USING ERRCODE = 'SHOP1';
            END IF;
            RETURN NEW;
        END; $$;
        CREATE TRIGGER refuse BEFORE INSERT ON whatsapp_incoming_messages
            FOR EACH ROW EXECUTE FUNCTION refuse();
        """
    )
    texts = ["fine", "refuse me", "fine"]

    await asyncio.gather(
        *(shop.take(received(text, key_id=f"KEY{number}")) for number, text in enumerate(texts))
    )

    assert sorted(outcome for _, outcome in await shop.outcomes()) == ["failed", "stored", "stored"]


async def test_two_strangers_over_the_same_inboxes_in_opposite_order_both_commit_beside_webhooks(
    shop: Shop, database: str
) -> None:
    async with stranger(database) as one, stranger(database) as two:
        await insert_message(one, 12)
        await insert_message(two, 13)
        await insert_message(one, 13)
        await insert_message(two, 12)
        webhooks = [shop.take(received(key_id=f"KEY{n}"), session) for n, session in enumerate((12, 13) * 10)]
        async with asyncio.timeout(SOON_S):
            await asyncio.gather(one.execute("COMMIT"), two.execute("COMMIT"), *webhooks)

    assert len(await shop.rows()) == 24
    tops = await eventually(
        lambda: shop.db.fetch("SELECT inbox, off FROM gateway.inboxes WHERE inbox IN (12, 13) ORDER BY inbox")
    )
    assert [row["off"] for row in tops] == [12, 12]
    assert parts.ID
