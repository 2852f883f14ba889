"""The journal: what became of webhooks, which bodies it keeps, and those that went wrong once more."""

from typing import Any

import asyncpg
import pytest

from gateway.domain.access import Role
from tests.http.support import INCOMING, SESSIONS, Shop, eventually, key_of, moved, received, sent
from tests.unit.wasender import payload_parts as parts

JOURNAL = "/api/journal"
REFUSE = f"ALTER TABLE {INCOMING} ADD CONSTRAINT refuse CHECK (message_text <> 'refuse me')"
TAKE = f"ALTER TABLE {INCOMING} DROP CONSTRAINT refuse"


async def failed(shop: Shop, key_id: str = "K", session_id: int = 12) -> int:
    """Number of the entry of a webhook that Postgres refused."""
    await shop.take(received("refuse me", key_id=key_id), session_id)
    return int((await shop.last_entry())["id"])


async def listed(shop: Shop, query: str = "", **more: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = await shop.gateway.data("GET", f"{JOURNAL}{query}", **more)
    return rows


# ------------------------------------------------------------------------------------------ looking


async def test_the_list_is_filtered_and_goes_on_page_by_page(shop: Shop) -> None:
    await shop.db.execute(REFUSE)
    for number in range(5):
        await shop.take(received(key_id=f"fine {number}"))
        await failed(shop, f"K{number}", 12 + number % 2)
    await shop.take(parts.envelope("weather.changed", {}))

    assert [row["outcome"] for row in await listed(shop)] == ["unknown", *["failed", "stored"] * 5]
    assert len(await listed(shop, "?outcome=failed,unknown")) == 6
    assert len(await listed(shop, "?outcome=failed&session=13")) == 2
    assert await listed(shop, "?session=99") == await listed(shop, "?outcome=duplicate") == []
    seen: list[int] = []
    cursor = ""
    for _ in range(3):
        status, page = await shop.gateway.call("GET", f"{JOURNAL}?outcome=failed&limit=2&cursor={cursor}")
        assert status == 200
        seen += [row["id"] for row in page["data"]]
        cursor = page["next_cursor"]
    assert cursor is None
    assert len(seen) == 5
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize(
    "query", ["?outcome=lost", "?outcome=failed,", "?session=x", "?cursor=x", "?limit=0", "/x", "/1/retry/x"]
)
async def test_what_cannot_be_meant_is_refused(shared_shop: Shop, query: str) -> None:
    status, _ = await shared_shop.gateway.call("GET", JOURNAL + query)

    assert status in (404, 422)


async def test_bodies_are_kept_of_what_did_not_become_rows_and_of_nothing_else(shop: Shop) -> None:
    await shop.db.execute(REFUSE)
    half = parts.envelope(
        "messages.upsert", {"messages": [parts.message(parts.PRIVATE, {"conversation": "x"}), "odd"]}
    )
    webhooks = {
        "stored": (received(key_id="A"), False),
        "stored in part": (half, True),
        "duplicate": (received(key_id="A"), False),
        "sent": (sent(key_id="B"), False),
        "moved": (moved(3, key_id="B"), False),
        "noise": (parts.envelope("chats.update", [{"id": parts.ANN_JID}]), False),
        "shape": (parts.envelope("messages.received", {"messages": 7}), True),
        "early": (parts.envelope("messages.delete", {"keys": [{**parts.PRIVATE, "id": "nobody's"}]}), True),
        "unknown": (parts.envelope("weather.changed", {"rain": True}), True),
        "failed": (received("refuse me", key_id="C"), True),
    }
    for name, (body, is_kept) in webhooks.items():
        await shop.take(body)
        assert ((await shop.last_entry())["body"] is not None) == is_kept, name


async def test_an_entry_shows_its_body_without_the_key(shop: Shop) -> None:
    await shop.take(parts.envelope("weather.changed", {"rain": True, "session_id": key_of(12)}))
    (row,) = await listed(shop, "?outcome=unknown")
    assert "body" not in row

    entry = await shop.gateway.data("GET", f"{JOURNAL}/{row['id']}")

    assert entry["body"]["data"] == {"rain": True, "session_id": "12"}
    assert {**entry, "body": None} == {**row, "body": None}


@pytest.mark.parametrize("path", ["", "/1", "/retry", "/1/retry"])
async def test_the_journal_is_for_admins(shared_shop: Shop, path: str) -> None:
    method = "POST" if path.endswith("retry") else "GET"
    for role in (Role.VIEWER, Role.AGENT):
        status, _ = await shared_shop.gateway.call(
            method, JOURNAL + path, token=shared_shop.gateway.token(role)
        )
        assert status == 403
    assert (await shared_shop.gateway.call(method, JOURNAL + path, token=""))[0] == 401


async def test_an_admin_of_some_sessions_sees_and_retries_only_theirs(shop: Shop) -> None:
    await shop.db.execute(REFUSE)
    ours, theirs = await failed(shop, "K1", 12), await failed(shop, "K2", 13)
    await shop.db.execute(TAKE)
    token = shop.gateway.token(sessions={12})

    assert [row["id"] for row in await listed(shop, token=token)] == [ours]
    assert (await shop.gateway.call("GET", f"{JOURNAL}?session=13", token=token))[0] == 403
    for path in (f"/{theirs}", f"/{theirs}/retry"):
        method = "POST" if path.endswith("retry") else "GET"
        assert (await shop.gateway.call(method, JOURNAL + path, token=token))[0] == 404
    await shop.gateway.data("POST", f"{JOURNAL}/retry", token=token)
    assert [row["wasender_session_id"] for row in await shop.rows()] == [12]


# ------------------------------------------------------------------------------------------ processing again


async def test_a_failed_webhook_is_stored_with_its_own_time_once_the_cause_is_gone(shop: Shop) -> None:
    await shop.db.execute(REFUSE)
    number = await failed(shop)
    before = await shop.last_entry()
    await shop.db.execute(TAKE)
    async with shop.gateway.socket() as socket:
        await socket.subscribe("inbox:12")

        entry = await shop.gateway.data("POST", f"{JOURNAL}/{number}/retry")

        assert (await socket.event("message.created"))["data"]["message_text"] == "refuse me"
    assert (entry["outcome"], entry["reason"], entry["retries"]) == ("stored", None, 1)
    assert entry["note"].startswith("before: failed (Postgres refuses this row")
    assert entry["retried_by"] == "Tester"
    assert (await shop.row())["wa_key_id"] == "K"
    after = await shop.one("SELECT * FROM gateway.journal WHERE id = $1", number)
    assert after["received_at"] == before["received_at"]
    assert len(await shop.outcomes()) == 1


async def test_doing_it_twice_changes_nothing(shop: Shop) -> None:
    await shop.db.execute(REFUSE)
    number = await failed(shop)
    await shop.db.execute(TAKE)
    first = await shop.gateway.data("POST", f"{JOURNAL}/{number}/retry")

    assert await shop.gateway.data("POST", f"{JOURNAL}/{number}/retry") == first
    assert len(await shop.rows()) == 1


async def test_what_is_still_refused_stays_failed_and_says_why(shop: Shop) -> None:
    await shop.db.execute(REFUSE)
    number = await failed(shop)

    for times in (1, 2):
        entry = await shop.gateway.data("POST", f"{JOURNAL}/{number}/retry")
        assert (entry["outcome"], entry["retries"]) == ("failed", times)
        assert "refuse" in entry["reason"]
    assert await shop.rows() == []


async def test_what_a_later_version_understands_is_stored(shop: Shop) -> None:
    body = {**received(key_id="new"), "sessionId": "12"}
    number = await shop.db.fetchval(
        "INSERT INTO gateway.journal (wasender_session_id, event, outcome, reason, body) "
        "VALUES (12, 'messages.received', 'unknown', 'an event we do not know', $1) RETURNING id",
        body,
    )

    entry = await shop.gateway.data("POST", f"{JOURNAL}/{number}/retry")

    assert (entry["outcome"], entry["note"]) == ("stored", "before: unknown (an event we do not know)")
    assert (await shop.row())["wa_key_id"] == "new"


async def test_an_edit_that_came_before_its_message_finds_it_later(shop: Shop) -> None:
    await shop.take(parts.envelope("messages.delete", {"keys": [{**parts.PRIVATE, "id": "late"}]}))
    number = (await shop.last_entry())["id"]
    await shop.take(received(key_id="late"))

    entry = await shop.gateway.data("POST", f"{JOURNAL}/{number}/retry")

    assert entry["outcome"] == "stored"
    assert (await shop.row())["deleted_at"] is not None


async def test_without_its_body_nothing_can_be_processed_again(shop: Shop) -> None:
    await shop.take(parts.envelope("chats.update", [{"id": parts.ANN_JID}]))
    number = (await shop.last_entry())["id"]

    status, reply = await shop.gateway.call("POST", f"{JOURNAL}/{number}/retry")

    assert (status, reply["code"]) == (409, "conflict")
    assert (await shop.gateway.call("POST", f"{JOURNAL}/999999/retry"))[0] == 404


async def test_a_held_row_is_said_and_leaves_the_entry_as_it_is(shop: Shop, database: str) -> None:
    await shop.db.execute(REFUSE)
    number = await failed(shop)
    await shop.db.execute(TAKE)
    other = await asyncpg.connect(database)
    try:
        async with other.transaction():
            await other.execute(f"INSERT INTO {INCOMING} (message_id, from_phone) VALUES ('K', '1')")
            status, reply = await shop.gateway.call("POST", f"{JOURNAL}/{number}/retry")
    finally:
        await other.close()

    assert (status, reply["code"]) == (503, "unavailable")
    assert (await shop.last_entry())["retries"] == 0


async def test_all_that_failed_are_processed_again_page_by_page_in_their_order(shop: Shop) -> None:
    await shop.db.execute(REFUSE)
    for number in range(5):
        await failed(shop, f"K{number}", 12 + number % 2)
    await shop.db.execute(TAKE)

    status, reply = await shop.gateway.call("POST", f"{JOURNAL}/retry?session=12&limit=2")
    assert (status, reply["data"]) == (200, {"processed": 2, "outcomes": {"stored": 2}})
    assert {row["wa_key_id"] for row in await shop.rows()} == {"K2", "K4"}
    while reply["next_cursor"]:
        _, reply = await shop.gateway.call(
            "POST", f"{JOURNAL}/retry?session=12&cursor={reply['next_cursor']}"
        )
    assert [row["wasender_session_id"] for row in await shop.rows()] == [12] * 3
    assert len(await listed(shop, "?outcome=failed")) == 2
    assert (await shop.gateway.call("POST", f"{JOURNAL}/retry?outcome=stored"))[0] == 422


async def test_who_had_it_processed_again_is_in_the_sessions_log(shop: Shop) -> None:
    await shop.db.execute(REFUSE)
    number = await failed(shop)
    await shop.db.execute(TAKE)
    await shop.gateway.data("POST", f"{JOURNAL}/{number}/retry")

    (row,) = await shop.gateway.data("GET", f"{SESSIONS}/12/logs?event_type=webhook_retried")

    assert row["actor"] == "Tester"
    assert (row["metadata"]["entry"], row["metadata"]["outcome"]) == (number, "stored")


async def test_a_code_that_has_expired_is_not_shown_again(shop: Shop) -> None:
    number = await shop.db.fetchval(
        "INSERT INTO gateway.journal (received_at, wasender_session_id, event, outcome, body) "
        "VALUES (now() - interval '1 hour', 12, 'qrcode.updated', 'failed', $1) RETURNING id",
        {"event": "qrcode.updated", "data": {"qr": "2@old"}},
    )

    entry = await shop.gateway.data("POST", f"{JOURNAL}/{number}/retry")

    assert entry["outcome"] == "ignored"
    assert "expired" in entry["reason"]


async def test_the_troubles_are_found_by_index(shop: Shop) -> None:
    await shop.db.execute(
        "INSERT INTO gateway.journal (outcome) SELECT 'stored' FROM generate_series(1, 20000)"
    )
    await shop.db.execute("ANALYZE gateway.journal")
    plan = "\n".join(
        row[0]
        for row in await shop.db.fetch(
            "EXPLAIN SELECT id FROM gateway.journal WHERE outcome IN ('unknown', 'failed') ORDER BY id DESC LIMIT 50"
        )
    )

    assert "journal_failed_or_unknown" in plan
    await eventually(lambda: listed(shop, "?outcome=failed"), lambda rows: rows == [])
