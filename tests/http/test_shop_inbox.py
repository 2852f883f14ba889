"""The same inbox on the shop's own tables: its rows, its customers, its narrow columns, its naive times."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.embedded_postgres.server import EmbeddedPostgres
from tests.http.support import HOOK, Shop, opened, received
from tests.launcher.running import running
from tests.launcher.settings import settings_for
from tests.postgres_fixtures import clone
from tests.unit.wasender import payload_parts as parts

SECRET = "shop-secret-101"
ANNA = "4915123456789@s.whatsapp.net"


@pytest_asyncio.fixture(params=["shop", "shop_uuid"])
async def adopted(
    request: pytest.FixtureRequest, postgres: EmbeddedPostgres, tmp_path: Path
) -> AsyncIterator[Shop]:
    """A gateway on the shop's database, whose times are Berlin's."""
    async with clone(postgres, f"{request.param}_migrated") as dsn:
        settings = settings_for(dsn, tmp_path, timezone="Europe/Berlin")
        async with running(settings) as gateway, opened(gateway, dsn) as shop:
            yield shop


async def post(shop: Shop, body: dict[str, Any]) -> None:
    assert (await shop.post({**body, "sessionId": "shop-key-101"}, secret=SECRET))[0] == 200


async def by_chat(shop: Shop, query: str = "") -> dict[str, dict[str, Any]]:
    data = await shop.gateway.data("GET", f"/api/conversations?{query}")
    return {item["chat"]: item for item in data["conversations"]}


async def test_the_shops_old_rows_are_conversations_with_the_customers_names(adopted: Shop) -> None:
    found = await by_chat(adopted)

    assert found[ANNA]["name"] == "Anna Berg"
    assert found[ANNA]["session_id"] == 0
    assert found[ANNA]["last_message"]["message_text"] == "Danke"
    assert found["34600111222@s.whatsapp.net"]["name"] == "Carlos Díaz"
    assert "shop-key" not in str(found)


async def test_numbers_in_any_formatting_are_one_conversation(adopted: Shop) -> None:
    data = await adopted.gateway.data("GET", "/api/conversations/4915123456789/messages?session=0")

    assert [item["message_text"] for item in data["messages"]] == ["Ist der Mantel noch da? 🧥", "Danke"]
    assert {item["phone"] for item in data["messages"]} == {"4915123456789"}


async def test_naive_times_are_read_in_the_operators_zone(adopted: Shop) -> None:
    data = await adopted.gateway.data("GET", "/api/conversations/4915123456789/messages?session=0")

    assert data["messages"][0]["received_at"] == "2025-02-28T17:00:00Z"
    assert data["messages"][0]["at"] == "2025-02-28T17:00:00Z"
    assert data["messages"][1]["created_at"] == "2025-02-28T17:06:00.500000Z"


async def test_a_webhooks_time_is_the_same_moment_in_a_naive_column(adopted: Shop) -> None:
    await post(adopted, received("now", jid=ANNA))

    data = await adopted.gateway.data("GET", "/api/conversations/4915123456789/messages?session=101")
    assert data["messages"][0]["received_at"] == "2025-05-20T21:10:31Z"


@pytest.mark.parametrize(
    ("search", "found"), [("anna", {ANNA}), ("Carlos", {"34600111222@s.whatsapp.net"}), ("Nummer", set())]
)
async def test_a_search_finds_customers_by_the_shops_name_for_them(
    adopted: Shop, search: str, found: set[str]
) -> None:
    assert set(await by_chat(adopted, f"search={search}")) == found


async def test_the_shops_name_for_a_customer_wins_over_what_he_calls_himself(adopted: Shop) -> None:
    await post(adopted, received(jid=ANNA, pushName="xX_anna_Xx"))

    data = await adopted.gateway.data("GET", "/api/conversations?session=101")
    assert data["conversations"][0]["name"] == "Anna Berg"


async def test_a_webhook_for_a_row_the_shop_wrote_gives_it_its_session(adopted: Shop) -> None:
    await post(adopted, received("Danke", key_id="3EB0SHOP0002", jid=ANNA))

    rows = {row["message_id"]: row for row in await adopted.rows()}
    assert rows["3EB0SHOP0002"]["wasender_session_id"] == 101
    assert rows["3EB0SHOP0002"]["raw_data"] == {"sessionId": "shop-key-101"}
    assert len(rows) == 4


async def test_a_key_id_too_long_for_the_shops_column_is_journalled_and_the_next_is_stored(
    adopted: Shop,
) -> None:
    await post(adopted, received(key_id="K" * 300))
    await post(adopted, received("fine"))

    assert [outcome for _, outcome in await adopted.outcomes()] == ["failed", "stored"]
    entry = await adopted.one("SELECT * FROM gateway.journal WHERE outcome = 'failed'")
    assert "too long" in entry["reason"]
    assert entry["body"]["data"]["messages"]["key"]["id"] == "K" * 300
    assert len(await adopted.rows()) == 5


async def test_the_shops_own_trigger_counts_what_comes_by_webhook(adopted: Shop) -> None:
    await post(adopted, received())

    count = "SELECT count FROM message_counts WHERE phone = $1"
    if await adopted.db.fetchval("SELECT to_regclass('message_counts')"):
        assert await adopted.db.fetchval(count, parts.ANN) == 1


async def test_the_shops_casing_of_a_status_is_kept_until_it_changes(adopted: Shop) -> None:
    status = "SELECT status FROM whatsapp_sessions WHERE wasender_session_id = 101"
    await post(adopted, parts.envelope("session.status", {"status": "connected"}, time.time()))
    assert await adopted.db.fetchval(status) == "CONNECTED"

    await post(adopted, parts.envelope("session.status", {"status": "LOGGED_OUT"}, time.time()))
    assert await adopted.db.fetchval(status) == "logged_out"


async def test_a_session_without_a_secret_is_found_by_the_path_and_still_refused(adopted: Shop) -> None:
    assert (await adopted.post(received(), secret="", path=f"{HOOK}/102"))[0] == 401
    assert (await adopted.post(received(), secret="shop-key-102", path=f"{HOOK}/102"))[0] == 401


async def test_marking_read_works_on_rows_of_the_shop(adopted: Shop) -> None:
    path = "/api/conversations/4915123456789/read?session=0"

    assert await adopted.gateway.data("POST", path) == {"marked": 1}
    assert (await by_chat(adopted))[ANNA]["unread"] == 0


async def test_rows_of_the_shop_without_any_time_are_served_too(adopted: Shop) -> None:
    old = (await by_chat(adopted))["447700900123@s.whatsapp.net"]
    assert old["last_at"] < "1971"  # the beginning of time, in the zone of the shop
