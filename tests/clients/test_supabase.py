"""Supabase's own clients, unmodified, get the changes of the shop's tables from the gateway."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.domain.access import Role
from tests.clients.supabase_pages import (
    CLIENTS,
    IDS,
    INCOMING,
    OUTGOING,
    SESSIONS,
    SupabasePage,
    everything,
    supabase_page,
)
from tests.http.support import Shop, deleted, edited, opened, received, secret_of
from tests.launcher.running import Running
from tests.postgres.writers import insert_message


@pytest_asyncio.fixture
async def shop(gateway: Running, database: str) -> AsyncIterator[Shop]:
    """A gateway with the sessions 12 and 13."""
    async with opened(gateway, database) as shop:
        await shop.add_session(12)
        await shop.add_session(13)
        yield shop


@pytest.fixture(params=CLIENTS, ids=IDS)
def client(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest_asyncio.fixture
async def page(client: str, shop: Shop) -> AsyncIterator[SupabasePage]:
    async with supabase_page(client, shop.gateway.url, shop.gateway.token()) as page:
        yield page


async def test_what_webhooks_and_sql_change_reaches_the_callback(page: SupabasePage, shop: Shop) -> None:
    await page.subscribe("incoming", everything())
    hook = secret_of(12)
    assert (await shop.post(received("by webhook"), secret=hook))[0] == 200
    assert (await shop.post(edited("edited by webhook"), secret=hook))[0] == 200
    assert (await shop.post(deleted(), secret=hook))[0] == 200
    inserted = await page.text("by webhook")
    await page.text("edited by webhook")
    key = await insert_message(shop.db, 13, message_text="by SQL")
    await shop.db.execute(f"UPDATE {INCOMING} SET is_read = true WHERE id = $1", key)
    await shop.db.execute(f"DELETE FROM {INCOMING} WHERE id = $1", key)
    changes = await page.changes(6)

    assert [item["type"] for item in changes] == ["INSERT", "UPDATE", "UPDATE", "INSERT", "UPDATE", "DELETE"]
    assert {item["table"] for item in changes} == {INCOMING}
    assert all(item["errors"] is None for item in changes)
    assert inserted["new"]["wasender_session_id"] == 12
    assert inserted["old"] == {}
    assert changes[2]["new"]["deleted_at"] is not None
    assert changes[4]["new"]["is_read"] is True
    assert changes[4]["old"] == changes[5]["old"] == {"id": key}
    assert changes[5]["new"] == {}


async def test_filters_other_tables_and_sessions(page: SupabasePage, shop: Shop) -> None:
    await page.subscribe("unread", everything(filter="wasender_session_id=eq.12"))
    await page.subscribe("photos", everything(filter="message_type=in.(image,video)"))
    await page.subscribe("outgoing", everything(OUTGOING, filter="status=neq.queued"))
    await page.subscribe("sessions", everything(SESSIONS))
    await insert_message(shop.db, 12, message_text="text to 12")
    await insert_message(shop.db, 13, message_text="image to 13", message_type="image")
    await shop.db.execute(f"INSERT INTO {OUTGOING} (client_id, wasender_session_id) VALUES ('c1', 12)")
    await shop.db.execute(f"UPDATE {OUTGOING} SET status = 'sent'")
    await shop.db.execute(f"UPDATE {SESSIONS} SET status = 'connected ' || 1 WHERE wasender_session_id = 12")
    await shop.db.execute(f"DELETE FROM {SESSIONS} WHERE wasender_session_id = 13")

    assert (await page.changes(1, "unread"))[0]["new"]["message_text"] == "text to 12"
    assert (await page.changes(1, "photos"))[0]["new"]["message_text"] == "image to 13"
    (sent,) = await page.changes(1, "outgoing")
    assert (sent["type"], sent["new"]["client_id"], sent["new"]["status"]) == ("UPDATE", "c1", "sent")
    renamed, gone = await page.changes(2, "sessions")
    assert (renamed["new"]["status"], gone["type"]) == ("connected 1", "DELETE")
    assert "api_key" not in renamed["new"]

    await page.tell(leave="photos")
    await page.status("CLOSED", channel="photos")
    await insert_message(shop.db, 12, message_text="the last", message_type="image")
    await page.changes(2, "unread")
    assert len(await page.changes(1, "photos")) == 1


@pytest.mark.parametrize(
    ("binding", "says"),
    [
        (everything("customers"), "Unable to subscribe to changes with given parameters"),
        (everything(filter="wrong"), "Error parsing `filter` params"),
    ],
    ids=["table", "filter"],
)
async def test_a_wrong_table_or_filter_is_told_to_the_page(
    page: SupabasePage, binding: dict[str, str], says: str
) -> None:
    await page.subscribe("wrong", binding)

    assert (await page.system("error")).startswith(says)


async def test_two_logins_with_different_sessions_hear_of_different_rows(client: str, shop: Shop) -> None:
    keys = [shop.gateway.token(Role.VIEWER, sessions={number}) for number in (12, 13)]
    url = shop.gateway.url
    async with supabase_page(client, url, keys[0]) as twelve, supabase_page(client, url, keys[1]) as thirteen:
        for page in (twelve, thirteen):
            await page.subscribe("incoming", everything())
        for number in (None, 12, 13):
            await insert_message(shop.db, number, message_text=f"to {number}")
        for number in (12, 13):
            await insert_message(shop.db, number, message_text="the last")

        texts = [
            [item["new"]["message_text"] for item in await page.changes(2)] for page in (twelve, thirteen)
        ]
    assert texts == [["to 12", "the last"], ["to 13", "the last"]]


async def test_a_renewed_token_is_used_and_one_that_is_over_ends_the_channel_until_the_next(
    page: SupabasePage, shop: Shop
) -> None:
    await page.subscribe("incoming", everything())
    await page.tell(token=shop.gateway.token(Role.VIEWER, sessions={13}, life_s=4))
    over = await page.system("error")
    assert over.startswith("Token has expired")
    await page.status("CHANNEL_ERROR")
    before = len(page.lines)
    await page.tell(token=shop.gateway.token(Role.VIEWER, sessions={12}))
    await page.status("SUBSCRIBED", after=before)
    for number in (13, 12):
        await insert_message(shop.db, number, message_text=f"to {number}")

    assert (await page.text("to 12"))["type"] == "INSERT"
    assert "to 13" not in [item["new"]["message_text"] for item in await page.changes(1)]
    assert "CLOSED" not in [line.get("status") for line in page.lines]
