"""Keys and secrets: stored in their columns, and nowhere else to be found, by nobody but an admin who says so."""

import json
import logging
from typing import Any

import asyncpg
import pytest

from gateway.domain.access import Role
from tests.http.support import HOOK, SESSIONS, Shop, eventually, key_of, received, secret_of
from tests.unit.wasender import payload_parts as parts

HOMES = {
    ("public", "whatsapp_sessions", "api_key"),
    ("public", "whatsapp_sessions", "webhook_secret"),
}


async def places_of(connection: asyncpg.Connection, text: str) -> set[tuple[str, str, str]]:
    """Schema, table and column of every value in the database that holds the text."""
    columns = await connection.fetch(
        "SELECT table_schema, table_name, column_name FROM information_schema.columns"
        " WHERE table_schema IN ('public', 'gateway')"
    )
    found = set()
    for schema, table, column in columns:
        query = f'SELECT EXISTS (SELECT FROM "{schema}"."{table}" WHERE strpos("{column}"::text, $1) > 0)'
        if await connection.fetchval(query, text):
            found.add((schema, table, column))
    return found


def leaky(event: str, session_id: int = 12) -> dict[str, Any]:
    """A webhook that names key and secret wherever something could be named."""
    key, secret = key_of(session_id), secret_of(session_id)
    content = parts.message(
        parts.PRIVATE, {"conversation": f"my key {key}, my secret {secret}"}, pushName=key
    )
    data = {"messages": content, "session_id": key, "sessionId": key, key: secret, "status": key, "qr": key}
    return {
        "event": event,
        "sessionId": key,
        "session_id": key,
        "data": data,
        "note": [{"deep": f"x{secret}y"}],
    }


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """What was logged. The server's access log is off in life; pytest's own handler on it switches it on."""
    return "\n".join(record.getMessage() for record in caplog.records if record.name != "uvicorn.access")


async def test_a_sessions_key_is_never_in_journal_rows_stream_or_frames(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with shop.gateway.socket() as socket:
        for topic in ("inbox:*", "sessions", "session:12"):
            await socket.subscribe(topic)
        for event in ("messages.received", "session.status", "qrcode.updated", "weather.changed"):
            await shop.post(leaky(event), secret=secret_of(12))
        await socket.event("message.created")
        await shop.gateway.data("GET", f"{SESSIONS}/12")
        await socket.send(type="ping", ref="end")
        await socket.next("pong")

    assert [outcome for _, outcome in await shop.outcomes()] == ["stored", "ignored", "stored", "unknown"]
    for secret in (key_of(12), secret_of(12)):
        assert await places_of(shop.db, secret) <= HOMES
        assert secret not in json.dumps(socket.frames)
        assert secret not in logged(caplog)


async def test_a_refused_webhook_leaves_its_key_nowhere(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await shop.db.execute("ALTER TABLE whatsapp_incoming_messages ADD CHECK (message_text <> 'refuse me')")

    refused = received("refuse me", pushName=key_of(12))
    await shop.take({**refused, "data": {**refused["data"], "session_id": key_of(12)}})

    assert (await shop.last_entry())["outcome"] == "failed"
    assert await places_of(shop.db, key_of(12)) <= HOMES
    assert key_of(12) not in logged(caplog)


async def test_a_refused_sender_is_not_told_and_not_logged_what_he_sent(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    body = {**received(), "sessionId": "somebody-elses-key-0123456789"}

    _, reply = await shop.post(body, secret="somebody-elses-secret", path=f"{HOOK}?token=query-secret")

    for secret in ("somebody-elses-key", "somebody-elses-secret", "query-secret"):
        assert secret not in json.dumps(reply) + logged(caplog)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.AGENT])
async def test_only_an_admin_may_reveal_secrets(shop: Shop, role: Role) -> None:
    status, reply = await shop.gateway.call(
        "GET", f"{SESSIONS}/12?reveal=secrets", token=shop.gateway.token(role)
    )

    assert (status, reply["code"]) == (403, "forbidden")
    assert key_of(12) not in json.dumps(reply)


async def test_an_admin_may_reveal_secrets_and_that_is_logged(shop: Shop) -> None:
    shown = await shop.gateway.data("GET", f"{SESSIONS}/12?reveal=secrets")

    assert (shown["api_key"], shown["webhook_secret"]) == (key_of(12), secret_of(12))
    (entry,) = await shop.gateway.data("GET", f"{SESSIONS}/12/logs?event_type=secrets_revealed")
    assert entry["metadata"]["actor"] == "Tester"
    assert key_of(12) not in json.dumps(entry)


@pytest.mark.parametrize("query", ["reveal=all", "reveal=1", "reveal=Secrets"])
async def test_no_other_word_reveals_anything(shop: Shop, query: str) -> None:
    status, reply = await shop.gateway.call("GET", f"{SESSIONS}/12?{query}")

    assert (status, reply["code"]) == (422, "invalid")


async def test_no_other_answer_of_the_gateway_holds_a_secret(shop: Shop) -> None:
    session_id = await shop.create()
    one = f"{SESSIONS}/{session_id}"
    shown = await shop.gateway.data("GET", f"{one}?reveal=secrets")
    secrets = [shown["api_key"], shown["webhook_secret"]]
    calls: list[tuple[str, str, Any]] = [
        ("GET", SESSIONS, None),
        ("GET", f"{SESSIONS}?refresh=1", None),
        ("GET", one, None),
        ("GET", f"{one}?refresh=1", None),
        ("PUT", one, {"name": "Other"}),
        ("GET", f"{one}/status", None),
        ("POST", f"{one}/connect", {}),
        ("GET", f"{one}/qr-code", None),
        ("POST", f"{SESSIONS}/sync", None),
        ("POST", f"{one}/regenerate-key", None),
        ("GET", f"{one}/logs", None),
        ("POST", f"{one}/disconnect", None),
        ("DELETE", one, None),
    ]
    answers = [await shop.gateway.call(*call) for call in calls]

    assert [status for status, _ in answers] == [200] * len(calls)
    for secret in secrets:
        assert secret
        assert secret not in json.dumps(answers)
    assert answers[2][1]["data"]["api_key"] == answers[2][1]["data"]["webhook_secret"] == ""


async def test_a_new_key_is_stored_and_the_old_one_is_nowhere_any_more(shop: Shop) -> None:
    session_id = await shop.create()
    one = f"{SESSIONS}/{session_id}"
    before = await shop.gateway.data("GET", f"{one}?reveal=secrets")
    await shop.gateway.data("POST", f"{one}/regenerate-key")

    after = await shop.gateway.data("GET", f"{one}?reveal=secrets")
    assert after["api_key"] not in ("", before["api_key"])
    assert await places_of(shop.db, before["api_key"]) == set()


async def test_tickets_are_kept_as_digests_only(shop: Shop) -> None:
    ticket = (await shop.gateway.data("POST", "/api/tickets", {"for": "ws"}))["ticket"]

    async def kept() -> Any:
        return await shop.db.fetchval("SELECT count(*) FROM gateway.tickets")

    await eventually(kept)
    assert await places_of(shop.db, ticket) == set()
