"""Who may bring webhooks, and what is no webhook at all."""

import asyncio
import contextlib
import json
import re
from typing import Any

import pytest
from starlette.requests import Request

from gateway.domain.errors import Invalid
from gateway.http.responses import body_of
from gateway.realtime.transport.http_protocol import LINGER_BYTES
from tests.http.support import (
    HOOK,
    INCOMING,
    Shop,
    eventually,
    key_of,
    received,
    secret_of,
)
from tests.unit.wasender import payload_parts as parts

MIB = 1024 * 1024


@pytest.fixture
def shop(shared_swept_shop: Shop) -> Shop:
    """The gateway of this file."""
    return shared_swept_shop


async def nothing_is_stored(shop: Shop) -> bool:
    return await shop.outcomes() == [] and await shop.rows() == []


# ------------------------------------------------------------------------------------------ who


@pytest.mark.parametrize("secret", [None, "", "not-the-secret", secret_of(13), "sécret"])
async def test_a_wrong_or_missing_secret_is_401_and_nothing_is_stored(shop: Shop, secret: str | None) -> None:
    body = {**received(), "sessionId": key_of(12)}

    status, reply = await shop.post(body, secret=secret)

    assert (status, reply["code"]) == (401, "unauthenticated")
    assert await nothing_is_stored(shop)


async def test_a_session_without_a_secret_takes_no_webhook_at_all(shop: Shop) -> None:
    await shop.add_session(14, webhook_secret=None)
    await shop.add_session(15, webhook_secret="")

    for session_id in (14, 15):
        for secret in ("", "None", key_of(session_id)):
            body = {**received(), "sessionId": key_of(session_id)}
            assert (await shop.post(body, secret=secret))[0] == 401
    assert await nothing_is_stored(shop)


@pytest.mark.parametrize("path", [HOOK, f"{HOOK}.php"])
async def test_the_session_is_found_by_the_key_in_the_body(shop: Shop, path: str) -> None:
    body = {**received(), "sessionId": key_of(13)}

    assert await shop.post(body, secret=secret_of(13), path=path) == (200, {"received": True})
    assert (await shop.row())["wasender_session_id"] == 13


async def test_the_session_is_found_by_the_id_in_the_path_whatever_the_body_says(shop: Shop) -> None:
    body = {**received(), "sessionId": key_of(13)}

    assert (await shop.post(body, secret=secret_of(12), path=f"{HOOK}/12"))[0] == 200
    assert (await shop.row())["wasender_session_id"] == 12
    assert (await shop.post(body, secret=secret_of(13), path=f"{HOOK}/12"))[0] == 401


@pytest.mark.parametrize("claim", [{}, {"sessionId": "a-key-that-nobody-has"}, {"sessionId": None}])
async def test_the_session_is_found_by_its_secret_alone(shop: Shop, claim: dict[str, Any]) -> None:
    body = {name: value for name, value in received().items() if name != "sessionId"} | claim

    assert (await shop.post(body, secret=secret_of(13)))[0] == 200
    assert (await shop.row())["wasender_session_id"] == 13


async def test_a_secret_that_two_sessions_share_names_neither_of_them(shop: Shop) -> None:
    await shop.add_session(14, webhook_secret=secret_of(13))
    body = {name: value for name, value in received().items() if name != "sessionId"}

    # Named first: from then on the gateway knows of both, however long their bells take.
    for named in (13, 14):
        assert (await shop.post(body, secret=secret_of(13), path=f"{HOOK}/{named}"))[0] == 200
    assert (await shop.post(body, secret=secret_of(13)))[0] == 401


@pytest.mark.parametrize(
    ("where", "status"), [("99", 401), ("0", 401), ("x", 422), ("1" * 30, 422), ("12/x", 404)]
)
async def test_a_path_that_names_no_session_is_refused(shop: Shop, where: str, status: int) -> None:
    assert (await shop.post(received(), secret=secret_of(12), path=f"{HOOK}/{where}"))[0] == status
    assert await nothing_is_stored(shop)


async def test_a_session_added_by_somebody_else_is_known_at_once(shop: Shop) -> None:
    await shop.take(received())
    await shop.add_session(14)

    await shop.take(received(key_id="other"), 14)


async def test_a_secret_changed_by_somebody_else_is_used_at_once(shop: Shop) -> None:
    await shop.take(received())
    await shop.db.execute(
        "UPDATE whatsapp_sessions SET webhook_secret = 'new-secret' WHERE wasender_session_id = 12"
    )
    body = {**received(key_id="other"), "sessionId": key_of(12)}

    assert (await shop.post(body, secret="new-secret"))[0] == 200

    async def old_secret() -> int:
        return (await shop.post(body, secret=secret_of(12)))[0]

    await eventually(old_secret, lambda status: status == 401, "the old secret being refused")


async def test_a_gone_session_still_takes_webhooks(shop: Shop) -> None:
    await shop.db.execute("UPDATE whatsapp_sessions SET status = 'gone' WHERE wasender_session_id = 12")

    await shop.take(received())


async def test_a_rotated_secret_is_fetched_from_upstream_once_and_then_accepted(empty_shop: Shop) -> None:
    shop = empty_shop
    session_id = await shop.create()
    secret = await upstream_secret(shop, session_id)
    await shop.db.execute("UPDATE whatsapp_sessions SET webhook_secret = 'as it was before'")

    async def post(secret: str) -> int:
        return (await shop.post(received(), secret=secret, path=f"{HOOK}/{session_id}"))[0]

    await eventually(lambda: post("as it was before"), lambda status: status == 200, "the old secret known")

    assert [await post(secret), await post(secret)] == [200, 200]
    assert await shop.db.fetchval("SELECT webhook_secret FROM whatsapp_sessions") == secret


async def upstream_secret(shop: Shop, session_id: int) -> str:
    shown = await shop.gateway.data("GET", f"/api/whatsapp-sessions/{session_id}?reveal=secrets")
    return str(shown["webhook_secret"])


async def test_many_wrong_secrets_cost_one_call_upstream(empty_shop: Shop) -> None:
    shop = empty_shop
    session_id = await shop.create()
    # The call that the first wrong secret causes uses the fault up; a second call would meet none.
    fault = {"path": f"/whatsapp-sessions/{session_id}", "method": "GET", "status": 500, "times": 2}
    await shop.gateway.data("POST", "/_simulator/faults", fault, token="")

    for _ in range(5):
        assert (await shop.post(received(), secret="wrong", path=f"{HOOK}/{session_id}"))[0] == 401

    (left,) = await shop.gateway.data("GET", "/_simulator/faults", token="")
    assert left["times"] == 1


# ------------------------------------------------------------------------------------------ what


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"event=messages.received",
        b"\xff\xfe\x00",
        b'{"event": NaN}',
        b'{"a":' * 3000 + b"1" + b"}" * 2999,
        b"[" * 100_000,
    ],
    ids=lambda raw: repr(raw[:20]),
)
async def test_what_is_not_json_is_400_and_nothing_is_stored(shared_shop: Shop, raw: bytes) -> None:
    status, reply = await shared_shop.post(raw, secret=secret_of(12), path=f"{HOOK}/12")

    assert (status, reply["code"], reply["success"]) == (400, "invalid", False)
    assert await nothing_is_stored(shared_shop)


@pytest.mark.parametrize(
    "body", [[], [{"event": "call"}], "text", 12, None, [[1], [2, 3]], True, 1.5], ids=repr
)
async def test_what_is_json_and_no_object_is_kept_in_the_journal(shop: Shop, body: Any) -> None:
    raw = json.dumps(body).encode()
    status, _ = await shop.post(raw, secret=secret_of(12), path=f"{HOOK}/12")

    assert status == 200
    entry = await shop.last_entry()
    assert (entry["outcome"], entry["body"]) == ("unknown", body)


async def test_a_body_over_8_mib_is_413_announced_or_not(shop: Shop) -> None:
    big = json.dumps({**received("x" * (8 * MIB)), "sessionId": key_of(12)}).encode()

    assert (await shop.post(big, secret=secret_of(12)))[0] == 413

    async def pieces() -> Any:
        for start in range(0, len(big), 65_536):
            yield big[start : start + 65_536]

    url = shop.gateway.url + HOOK
    headers = {"X-Webhook-Signature": secret_of(12)}
    async with shop.http.post(url, data=pieces(), headers=headers) as reply:
        assert reply.status == 413
        assert (await reply.json())["code"] == "too_large"
    assert await nothing_is_stored(shop)


def request_of(size: int, *headers: str, is_chunked: bool = False) -> bytes:
    """A webhook with a right secret and a body of that size, on the wire."""
    body = b"[" + b" " * (size - 2) + b"]"
    framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {size}"
    lines = [
        f"POST {HOOK}/12 HTTP/1.1",
        "Host: 127.0.0.1",
        f"X-Webhook-Signature: {secret_of(12)}",
        framing,
        *headers,
    ]
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    if not is_chunked:
        return head + body
    pieces = (body[at : at + 100_000] for at in range(0, size, 100_000))
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


async def statuses(url: str, *requests: bytes) -> list[int]:
    """What a client gets that reads nothing before it has sent the whole of a request, on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    found = []
    writer.transport.set_write_buffer_limits(0)  # `drain` waits until all of it is sent
    with contextlib.closing(writer):
        for raw in requests:
            writer.write(raw)
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            found.append(int(head.split()[1]))
            length = re.search(rb"content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
    return found


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_client_that_sends_everything_before_it_reads_gets_its_413_and_goes_on(
    shared_shop: Shop, is_chunked: bool
) -> None:
    big = request_of(20 * MIB, is_chunked=is_chunked)
    small = request_of(100)

    assert await statuses(shared_shop.gateway.url, small, big, small, big, small) == [200, 413, 200, 413, 200]


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_client_that_wants_the_connection_closed_gets_its_413_too(
    shared_shop: Shop, is_chunked: bool
) -> None:
    big = request_of(20 * MIB, "Connection: close", is_chunked=is_chunked)

    assert await statuses(shared_shop.gateway.url, big) == [413]


async def test_what_is_read_for_nothing_has_a_limit(shared_shop: Shop) -> None:
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await statuses(shared_shop.gateway.url, request_of(LINGER_BYTES + 8 * MIB))


async def test_a_body_of_almost_8_mib_is_stored(shop: Shop) -> None:
    await shop.take(received("x" * (8 * MIB - 1000)))

    rows = await eventually(shop.rows, what="the row: so large a webhook may go by the spool")
    assert len(rows[0]["message_text"]) == 8 * MIB - 1000


async def test_a_body_over_64_kib_needs_a_secret_that_names_its_session(shop: Shop) -> None:
    big = {**received("x" * 65_536), "sessionId": key_of(12)}

    assert (await shop.post(big, secret="nobody's"))[0] == 413
    assert (await shop.post(big, secret=secret_of(12)))[0] == 200


async def test_an_unknown_event_is_kept_in_the_journal_and_answered_200(shop: Shop) -> None:
    await shop.take(parts.envelope("weather.changed", {"rain": True}))

    entry = await shop.last_entry()
    assert (entry["event"], entry["outcome"], entry["wasender_session_id"]) == (
        "weather.changed",
        "unknown",
        12,
    )
    assert entry["body"]["data"] == {"rain": True}
    assert entry["body"]["sessionId"] == "12"


@pytest.mark.parametrize("event", [None, 7, "", [], {"a": 1}])
async def test_a_body_without_an_event_is_kept_as_unknown(shop: Shop, event: Any) -> None:
    await shop.take({"event": event, "data": {"messages": []}})

    assert (await shop.last_entry())["outcome"] == "unknown"


@pytest.mark.parametrize(
    "data", [None, 7, "text", [], [[]], {"messages": {"key": "x"}}, {"messages": [None]}]
)
async def test_a_known_event_of_an_unknown_shape_is_kept_with_a_reason(shop: Shop, data: Any) -> None:
    await shop.take(parts.envelope("messages.received", data))

    entry = await shop.last_entry()
    assert (entry["event"], entry["outcome"]) == ("messages.received", "ignored")
    assert entry["reason"]
    assert entry["body"]["data"] == data


async def test_text_that_postgres_cannot_hold_is_mended(shop: Shop) -> None:
    body = received("a\x00b", pushName="An\ud83d", key={"odd\x00name": "\udc00"})

    await shop.take(body)

    row = await shop.row()
    assert (row["message_text"], row["push_name"]) == ("ab", "An\ufffd")
    assert row["raw_data"]["key"]["oddname"] == "\ufffd"
    assert (await shop.last_entry())["outcome"] == "stored"


async def test_numbers_too_long_for_an_integer_harm_nothing_even_beside_a_broken_emoji(shop: Shop) -> None:
    await shop.take(received(pushName="\ud83d", big=10**40, small=-(10**30)))
    await shop.take(received(key_id="next"))

    assert [row["wa_key_id"] for row in await shop.rows(INCOMING)] == [parts.ID, "next"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_only_post_brings_webhooks(shared_shop: Shop, method: str) -> None:
    assert (await shared_shop.gateway.call(method, HOOK, token=""))[0] == 405


async def test_a_secret_that_was_replaced_opens_the_door_no_more(shop: Shop) -> None:
    await shop.take(received())
    await shop.db.execute(
        "UPDATE whatsapp_sessions SET webhook_secret = 'another one' WHERE wasender_session_id = 12"
    )
    # While Postgres does not answer, what was known before counts.
    await eventually(lambda: knows(shop, "another one"), what="the notification of the keys")

    assert (await shop.post(received(), secret=secret_of(12), path=f"{HOOK}/12"))[0] == 401
    assert (await shop.post(received(), secret="another one", path=f"{HOOK}/12"))[0] == 200


async def knows(shop: Shop, secret: str) -> bool:
    """Whether the gateway has read the secret. It does so at the notification, for its file of known sessions."""
    known = shop.gateway.gateway.services.authenticator.known
    return any(item.webhook_secret == secret for item in known or ())


async def test_webhooks_are_written_however_many_connections_others_have(shop: Shop) -> None:
    await shop.take(received())
    pool = shop.gateway.gateway.repositories.pool
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(pool.get_max_size()):
            await stack.enter_async_context(pool.acquire())
        await shop.take(received(key_id="other"))
        assert len(await shop.rows()) == 2


async def test_a_body_that_stops_halfway_is_no_fault_of_ours() -> None:
    pieces = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(pieces)

    with pytest.raises(Invalid, match="ended before its body"):
        await body_of(Request({"type": "http", "headers": []}, receive))


async def test_an_address_with_a_slash_too_many_gets_a_sentence_and_no_redirect(shared_shop: Shop) -> None:
    path = f"{HOOK}/12/"
    status, reply = await shared_shop.post(received(), secret=secret_of(12), path=path)

    assert (status, reply["error"]) == (404, f"There is nothing at {path}.")
