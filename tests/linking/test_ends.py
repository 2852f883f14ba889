"""How an attempt ends when nobody cancels it, and what is true of the session afterwards."""

import asyncio
from typing import Any

import pytest

from tests.launcher.running import DEADLINE_S, Running
from tests.linking.conftest import (
    SELDOM_S,
    Rows,
    Serve,
    code_on,
    connect,
    end_on,
    new_session,
    status_of,
    watching,
)
from tests.linking.upstream import Upstream


@pytest.mark.parametrize("by_webhook", [True, False], ids=["by webhook", "by poll"])
async def test_a_scan_ends_as_connected_with_time_number_and_key(
    serve: Serve, upstream: Upstream, rows: Rows, by_webhook: bool
) -> None:
    async with serve(link_poll_s=SELDOM_S if by_webhook else 0.1) as gateway:
        number = await new_session(gateway, webhooks_to=gateway if by_webhook else None)
        async with watching(gateway, number) as socket:
            await connect(gateway, number)
            await code_on(socket)
            await upstream.scan(number)

            assert await end_on(socket) == {"reason": "connected", "error": None}
        assert await status_of(gateway, number) == "connected"
        await rows.until(
            "SELECT last_connected_at IS NOT NULL AND user_info IS NOT NULL FROM whatsapp_sessions"
            " WHERE wasender_session_id = $1",
            number,
        )
        await rows.until_logged(number, "connected")
    log = await rows.log(number)
    assert [log.count(event) for event in ("link_started", "qr_generated", "connected")] == [1, 1, 1]


async def test_no_new_code_or_status_for_the_idle_time_ends_as_timeout(
    serve: Serve, upstream: Upstream, rows: Rows
) -> None:
    async with serve(link_idle_s=0.5) as gateway:
        number = await new_session(gateway)
        async with watching(gateway, number) as socket:
            await connect(gateway, number)
            await code_on(socket)

            assert await end_on(socket) == {"reason": "timeout", "error": None}
        [attempt] = await rows.attempts(number)
        assert 0.4 < (attempt["ended_at"] - attempt["moved_at"]).total_seconds() < 3
        assert attempt["code"] is None
        assert await upstream.status(number) == "need_scan"  # upstream is left as it is
        await rows.until_logged(number, "link_timeout")


@pytest.mark.parametrize(
    "upstream", [{"qr_first_s": 0.3, "qr_next_s": 0.3, "max_codes": 1000}], indirect=True, ids=["restless"]
)
async def test_an_attempt_that_always_moves_ends_all_the_same_at_its_longest(
    serve: Serve, upstream: Upstream, rows: Rows
) -> None:
    async with serve(link_idle_s=1.0, link_max_s=2.0) as gateway:
        number = await new_session(gateway)
        async with watching(gateway, number) as socket:
            await connect(gateway, number)
            assert (await end_on(socket))["reason"] == "timeout"
    [attempt] = await rows.attempts(number)
    assert attempt["attempt"] > 3
    assert 1.9 < (attempt["ended_at"] - attempt["started_at"]).total_seconds() < 5


@pytest.mark.parametrize("upstream", [{"finishing_delay_s": 1.0}], indirect=True, ids=["slow phone"])
async def test_a_scan_in_the_last_second_is_waited_for(serve: Serve, upstream: Upstream, rows: Rows) -> None:
    async with serve(link_idle_s=1.0, link_max_s=1.0) as gateway:
        number = await new_session(gateway)
        async with watching(gateway, number) as socket:
            await connect(gateway, number)
            await code_on(socket)
            await upstream.scan(number)

            assert (await end_on(socket))["reason"] == "connected"
    [attempt] = await rows.attempts(number)
    assert (attempt["ended_at"] - attempt["started_at"]).total_seconds() > 1.0
    assert attempt["scanned_at"] is not None


async def test_a_scan_between_two_polls_is_seen_by_the_last_look(serve: Serve, upstream: Upstream) -> None:
    async with serve(link_idle_s=1.0, link_max_s=1.0, link_poll_s=SELDOM_S) as gateway:
        number = await new_session(gateway)
        async with watching(gateway, number) as socket:
            await connect(gateway, number)
            await code_on(socket)
            await upstream.scan(number)
            await upstream.wait_for_status(number, "connected")

            assert (await end_on(socket))["reason"] == "connected"


async def test_a_scan_after_the_end_still_counts(serve: Serve, upstream: Upstream, rows: Rows) -> None:
    async with serve(link_idle_s=0.3) as gateway:
        number = await new_session(gateway, webhooks_to=gateway)
        async with watching(gateway, number) as socket:
            await connect(gateway, number)
            assert (await end_on(socket))["reason"] == "timeout"
            await upstream.scan(number)

            await socket.next("state", lambda frame: frame["data"].get("status") == "connected")
        await rows.until(
            "SELECT last_connected_at IS NOT NULL AND user_info IS NOT NULL FROM whatsapp_sessions"
            " WHERE wasender_session_id = $1",
            number,
        )
    assert [row["reason"] for row in await rows.attempts(number)] == ["timeout"]
    assert (await rows.log(number)).count("connected") == 1


@pytest.mark.parametrize(
    ("status", "code", "action"),
    [
        (401, "upstream_unauthorized", "check_token"),
        (403, "upstream_limit", "show_limit"),
        (404, "session_not_found", "refresh_sessions"),
    ],
)
async def test_a_refusal_in_the_middle_ends_as_error_with_what_to_do(
    a: Running, upstream: Upstream, rows: Rows, status: int, code: str, action: str
) -> None:
    number = await new_session(a)
    async with watching(a, number) as socket:
        await connect(a, number)
        await code_on(socket)
        await upstream.fault(status=status)
        end = await end_on(socket)

    assert end["reason"] == "error"
    assert (end["error"]["code"], end["error"]["action"]) == (code, action)
    await rows.until_logged(number, "error")


async def test_a_session_deleted_upstream_in_the_middle_is_gone(a: Running, upstream: Upstream) -> None:
    number = await new_session(a)
    async with watching(a, number) as socket:
        await connect(a, number)
        await code_on(socket)
        assert (await upstream.account("DELETE", f"/whatsapp-sessions/{number}")).status == 204

        assert (await end_on(socket))["error"]["code"] == "session_not_found"
    assert await status_of(a, number) == "gone"


async def test_a_session_whose_code_alone_is_not_found_is_gone_and_its_attempt_ends(
    a: Running, upstream: Upstream, rows: Rows
) -> None:
    number = await new_session(a)
    async with watching(a, number) as socket:
        await connect(a, number)
        await code_on(socket)
        await upstream.fault(f"/whatsapp-sessions/{number}/qrcode", status=404)
        end = await end_on(socket)

    assert (end["reason"], end["error"]["code"]) == ("error", "session_not_found")
    assert end["error"]["action"] == "refresh_sessions"
    assert await status_of(a, number) == "gone"
    await rows.until_logged(number, "error")
    assert (await rows.log(number)).count("session_gone") == 1


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"status": 429, "retry_after": 1}, {"html": True}, {"drop": True}], ids=str
)
async def test_trouble_upstream_slows_an_attempt_down_and_does_not_end_it(
    a: Running, upstream: Upstream, rows: Rows, fault: dict[str, Any]
) -> None:
    number = await new_session(a)
    await upstream.fault(times=2, **fault)
    async with watching(a, number) as socket:
        await connect(a, number)
        await code_on(socket)
        await upstream.fault(times=2, **fault)
        await upstream.scan(number)

        assert (await end_on(socket))["reason"] == "connected"
    assert [row["reason"] for row in await rows.attempts(number)] == ["connected"]


async def test_an_ended_attempt_stays_visible_to_whoever_comes_later(
    serve: Serve, upstream: Upstream
) -> None:
    async with serve(link_idle_s=0.3) as gateway:
        number = await new_session(gateway)
        async with watching(gateway, number) as socket:
            await connect(gateway, number)
            await end_on(socket)
        async with gateway.socket() as later, asyncio.timeout(DEADLINE_S):
            parts = {frame["part"]: frame for frame in (await later.subscribe(f"session:{number}"))["state"]}
            assert parts["link"]["event"] == "session.link_ended"
            assert parts["link"]["data"]["reason"] == "timeout"
            assert (await gateway.call("GET", f"/api/whatsapp-sessions/{number}/qrcode"))[1]["code"] == (
                "not_linking"
            )
