"""What webhooks bring while a phone is being linked: early, late, and to the wrong gateway."""

import pytest

from tests.launcher.running import Running, Socket
from tests.linking.conftest import (
    SELDOM_S,
    Rows,
    Serve,
    code_on,
    connect,
    end_on,
    new_session,
    path_of,
    status_of,
    watching,
)
from tests.linking.upstream import Upstream


async def test_a_code_by_webhook_at_the_gateway_without_the_poller_is_shown_on_both(
    serve: Serve, upstream: Upstream, rows: Rows
) -> None:
    async with serve(link_poll_s=SELDOM_S) as a, serve(link_poll_s=SELDOM_S) as b:
        number = await new_session(a, webhooks_to=b)
        async with watching(a, number) as here, watching(b, number) as there:
            await connect(a, number)
            first = [await code_on(socket) for socket in (here, there)]
            assert first[0] == first[1]
            code = await upstream.rotate(number)
            assert [await code_on(socket, code) for socket in (here, there)] == [code] * 2

            await upstream.scan(number)
            assert [(await end_on(socket))["reason"] for socket in (here, there)] == ["connected"] * 2
    [attempt] = await rows.attempts(number)
    assert (attempt["attempt"], attempt["seq"]) == (2, 2)
    assert (await rows.log(number)).count("qr_generated") == 2


async def test_the_same_code_by_webhook_and_by_poll_is_one_code(
    a: Running, upstream: Upstream, rows: Rows
) -> None:
    number = await new_session(a, webhooks_to=a)
    await upstream.mode("duplicate", event="qrcode.updated", copies=5, times=None)
    async with watching(a, number) as socket:
        await connect(a, number)
        await code_on(socket)
        code = await upstream.rotate(number)
        await code_on(socket, code)
        await upstream.wait_for_calls("qrcode", upstream.count("qrcode") + 5)

        shown = [frame["data"]["seq"] for frame in socket.frames if frame.get("event") == "session.qr"]
    assert shown == [1, 2]
    assert (await rows.log(number)).count("qr_generated") == 2


async def test_a_late_code_of_a_superseded_attempt_gives_way_to_the_right_one(
    serve: Serve, upstream: Upstream, rows: Rows
) -> None:
    async with serve() as gateway:
        number = await new_session(gateway, webhooks_to=gateway)
        async with watching(gateway, number) as socket:
            await connect(gateway, number)
            old = await code_on(socket)
            await gateway.data("POST", path_of(number, "restart"))
            code = await upstream_code_after(socket, upstream, number, old)
            shown = len(socket.frames)
            await upstream.webhook(number, "qrcode.updated", {"qr": old})
            await wait_for_delivery(upstream, number, "qrcode.updated")
            await upstream.wait_for_calls("qrcode", upstream.count("qrcode") + 3)

            [*_, newest] = await rows.attempts(number)
            assert newest["code"] == code == await upstream.code(number)
            late = [frame for frame in socket.frames[shown:] if frame.get("event") == "session.qr"]
            assert not late or late[-1]["data"]["qrCode"] == code


async def upstream_code_after(socket: Socket, upstream: Upstream, number: int, old: str) -> str:
    while (code := await code_on(socket)) == old:
        pass
    assert code == await upstream.code(number)
    return code


async def wait_for_delivery(upstream: Upstream, session_id: int, event: str) -> None:
    """Until every webhook of this event has been delivered."""
    version = -1
    while True:
        version = (await upstream.done("GET", f"/changes?after={version}"))["version"]
        found = await upstream.done("GET", f"/deliveries?session={session_id}&event={event}")
        given_up = [row for row in found if row["outcome"] in ("failed", "dropped")]
        assert not given_up, f"the gateway did not take {given_up}"
        if found and all(row["outcome"] == "delivered" for row in found):
            return


@pytest.mark.parametrize("late", ["connected", "disconnected", "logged_out"])
async def test_a_late_status_of_an_earlier_link_ends_nothing_and_is_put_right(
    a: Running, upstream: Upstream, rows: Rows, late: str
) -> None:
    number = await new_session(a, webhooks_to=a)
    async with watching(a, number) as socket:
        await connect(a, number)
        await code_on(socket)
        await wait_for_delivery(upstream, number, "session.status")
        await upstream.webhook(number, "session.status", {"status": late})
        await wait_for_delivery(upstream, number, "session.status")
        await rows.until(
            "SELECT status = 'need_scan' FROM whatsapp_sessions WHERE wasender_session_id = $1", number
        )

        await upstream.scan(number)
        assert (await end_on(socket))["reason"] == "connected"
    assert [row["reason"] for row in await rows.attempts(number)] == ["connected"]


async def test_connected_by_webhook_ends_the_attempt_wherever_it_comes_in(
    serve: Serve, upstream: Upstream, rows: Rows
) -> None:
    async with serve(link_poll_s=SELDOM_S) as a, serve(link_poll_s=SELDOM_S) as b:
        number = await new_session(a, webhooks_to=b)
        async with watching(a, number) as socket:
            await connect(a, number)
            await code_on(socket)
            await upstream.scan(number)
            assert (await end_on(socket))["reason"] == "connected"
        assert [await status_of(gateway, number) for gateway in (a, b)] == ["connected"] * 2
        await rows.until_logged(number, "connected")
    assert (await rows.log(number)).count("connected") == 1


async def test_connected_by_webhook_counts_though_the_account_cannot_be_asked(
    serve: Serve, upstream: Upstream
) -> None:
    async with serve(link_poll_s=SELDOM_S) as gateway:
        number = await new_session(gateway, webhooks_to=gateway)
        async with watching(gateway, number) as socket:
            await connect(gateway, number)
            await code_on(socket)
            await upstream.fault(f"/whatsapp-sessions/{number}", status=500)
            await upstream.scan(number)

            assert (await end_on(socket))["reason"] == "connected"


async def test_lost_webhooks_only_make_it_slower(serve: Serve, upstream: Upstream) -> None:
    async with serve() as gateway:
        number = await new_session(gateway, webhooks_to=gateway)
        await upstream.mode("lose", times=None)
        async with watching(gateway, number) as socket:
            await connect(gateway, number)
            await code_on(socket)
            assert await code_on(socket, await upstream.rotate(number))
            await upstream.scan(number)

            assert (await end_on(socket))["reason"] == "connected"
