"""What is asked upstream about people: each question when it is due, whatever one session answers."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from gateway.domain.contacts import ContactFact, LidResolved
from gateway.domain.errors import StoreUnavailable, UpstreamFailed
from gateway.domain.session import SessionId, SessionSecrets
from gateway.postgres.connection.pool import open_pool
from gateway.postgres.contacts.contacts import ContactTable
from gateway.postgres.webhooks.batches import WebhookTable
from gateway.services.contacts.service import Contacts
from tests.postgres.delivery_parts import delivery, received
from tests.postgres.writers import JSON_NULL, insert_session


class Secrets:
    async def secrets(self, session_id: int) -> SessionSecrets:
        return SessionSecrets(SessionId(session_id), "key", "secret")


class Source:
    """Upstream, whose address book breaks off at its third page as long as it is `broken`."""

    def __init__(self) -> None:
        self.broken = True
        self.pages: list[int] = []
        self.lids: list[str] = []

    async def get_contacts(self, api_key: str, page: int) -> tuple[list[ContactFact], bool]:
        self.pages.append(page)
        if page == 3 and self.broken:
            raise UpstreamFailed("no answer")
        return [], page < 4

    async def get_phone_of_lid(self, api_key: str, lid: str) -> str | None:
        self.lids.append(lid)
        return None


@pytest_asyncio.fixture
async def contacts(database: str, connection: asyncpg.Connection) -> AsyncIterator[ContactTable]:
    """Where it is kept; session 12 is linked."""
    await insert_session(connection, 12)
    await connection.execute("UPDATE whatsapp_sessions SET status = 'connected'")
    pool = await open_pool(database, timezone="UTC", max_size=3, pooled=False)
    try:
        yield ContactTable(pool, Secrets())  # type: ignore[arg-type]
    finally:
        await pool.close()


async def look_for(connection: asyncpg.Connection, tries: int = 0) -> None:
    await connection.execute(
        "INSERT INTO gateway.lid_lookups (lid, session, tries) VALUES ('7@lid', 12, $1)", tries
    )


@pytest.mark.parametrize("tries", [14, 1_000_000])
async def test_a_lid_that_was_often_asked_for_stops_no_other(
    contacts: ContactTable, connection: asyncpg.Connection, tries: int
) -> None:
    await look_for(connection, tries)

    assert [item.lid for item in await contacts.claim_lookups(20)] == ["7@lid"]
    assert await connection.fetchval("SELECT due_at <= now() + interval '7 days' FROM gateway.lid_lookups")


async def test_an_address_book_that_cannot_be_read_keeps_no_number_waiting(
    contacts: ContactTable, connection: asyncpg.Connection
) -> None:
    await look_for(connection)
    source = Source()
    work = Contacts(contacts, source, tick_s=0.0, lookup_pause_s=0.0)

    await asyncio.wait_for(work.ask(), 5)
    await asyncio.wait_for(work.ask(), 5)

    assert source.lids == ["7@lid"]
    assert source.pages == [1, 2, 3], "and it is asked for again only when it is due"


async def test_an_address_book_that_broke_off_is_read_later_to_its_end_and_then_no_more(
    contacts: ContactTable, connection: asyncpg.Connection
) -> None:
    first = await contacts.claim_address_book()  # by a gateway that dies over it
    assert first is not None
    assert await contacts.claim_address_book() is None
    due = "SELECT contacts_due_at - now() FROM gateway.session_state"
    waits = [await connection.fetchval(due)]
    source = Source()
    work = Contacts(contacts, source, tick_s=0.0, lookup_pause_s=0.0)
    for broken in (True, False, False):
        await connection.execute("UPDATE gateway.session_state SET contacts_due_at = now()")
        source.broken = broken
        await work.ask()
        waits.append(await connection.fetchval(due))

    assert source.pages == [1, 2, 3, 1, 2, 3, 4]
    assert waits[0] * 5 < waits[1]
    assert waits[2] is None


async def test_the_address_book_of_another_device_is_read_again(
    contacts: ContactTable, connection: asyncpg.Connection
) -> None:
    book = await contacts.claim_address_book()
    assert book is not None
    await contacts.end_address_book(book)
    assert await contacts.claim_address_book() is None
    await connection.execute("UPDATE gateway.session_state SET contacts_of = 'another device'")

    assert await contacts.claim_address_book() == book


async def test_json_of_the_shop_that_is_no_jsonb_stops_no_address_book(
    contacts: ContactTable, connection: asyncpg.Connection
) -> None:
    await connection.execute("ALTER TABLE whatsapp_sessions ADD COLUMN theirs json")
    await connection.execute("UPDATE whatsapp_sessions SET theirs = $1::text::json", JSON_NULL)

    assert await contacts.claim_address_book() is not None


async def test_a_lid_that_is_known_already_keeps_no_other_message_waiting(
    table: WebhookTable, other: asyncpg.Connection
) -> None:
    lid = "7@lid"
    assert await table.write([delivery(received("A", sender_lid=lid))]) == ["stored"]
    async with other.transaction():
        await other.execute("SELECT FROM gateway.lids FOR UPDATE")
        assert await table.write([delivery(received("B", sender_lid=lid))]) == ["stored"]


async def test_of_two_numbers_for_a_lid_the_last_one_counts_also_where_it_is_known(
    connection: asyncpg.Connection,
) -> None:
    learn = "SELECT gateway.learn_lids_v2($1, $2)"
    await connection.execute(learn, ["7@lid"], ["4915100000001"])
    await connection.execute(learn, ["7@lid", "7@lid"], ["4915100000002", "4915100000001"])

    assert await connection.fetchval("SELECT phone FROM gateway.lids") == "4915100000001"


async def test_what_is_told_of_people_waits_for_no_lock_for_long(
    contacts: ContactTable, other: asyncpg.Connection
) -> None:
    await contacts.tell(12, [LidResolved("7@lid", "4915100000001")])
    async with other.transaction():
        await other.execute("SELECT FROM gateway.lids FOR UPDATE")
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(contacts.tell(12, [LidResolved("7@lid", "4915100000002")]), 5)
