"""Connecting, in every state a session can be in, and by several people at once."""

import asyncio

import pytest

from tests.launcher.running import Running
from tests.linking.conftest import (
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
from tests.linking.upstream import BEFORE_THE_CALL_ENDS_S, Upstream
from tests.pictures import decode_svg_data_url


async def test_many_connects_at_one_gateway_ask_upstream_once(
    a: Running, upstream: Upstream, rows: Rows
) -> None:
    number = await new_session(a)
    async with watching(a, number) as socket:
        await asyncio.gather(*(connect(a, number) for _ in range(10)))
        shown = await code_on(socket)

    assert shown == await upstream.code(number)
    assert upstream.count("connect") == 1
    assert len(await rows.attempts(number)) == 1
    assert (await rows.log(number)).count("link_started") == 1


async def test_connects_at_two_gateways_ask_upstream_once_and_show_the_same_code(
    a: Running, b: Running, upstream: Upstream, rows: Rows
) -> None:
    number = await new_session(a)
    async with watching(a, number) as here, watching(b, number) as there:
        await asyncio.gather(*(connect(gateway, number) for gateway in (a, b) * 5))
        shown = [await code_on(here), await code_on(there)]

        assert shown == [await upstream.code(number)] * 2
        assert upstream.count("connect") == 1
        assert await rows.leases() == [number]
        await upstream.scan(number)
        assert [(await end_on(here))["reason"], (await end_on(there))["reason"]] == ["connected"] * 2
    await rows.until_logged(number, "connected")
    assert (await rows.log(number)).count("connected") == 1


async def test_connecting_a_linked_session_ends_as_connected_without_a_code(
    a: Running, upstream: Upstream, rows: Rows
) -> None:
    number = await new_session(a)
    await upstream.link(number)
    async with watching(a, number) as socket:
        await connect(a, number)

        assert await end_on(socket) == {"reason": "connected", "error": None}
        assert not [frame for frame in socket.frames if frame.get("event") == "session.qr"]
    assert await status_of(a, number) == "connected"
    assert await upstream.status(number) == "connected"


@pytest.mark.parametrize("upstream", [{"connect_delay_s": 0.5}], indirect=True, ids=["slow"])
async def test_upstreams_connected_while_it_is_only_connecting_ends_nothing(
    a: Running, upstream: Upstream, rows: Rows
) -> None:
    number = await new_session(a)
    other_tool = asyncio.create_task(upstream.account("POST", f"/whatsapp-sessions/{number}/connect"))
    await upstream.wait_for_status(number, "connecting")
    async with watching(a, number) as socket:
        await connect(a, number)
        await upstream.wait_for_calls("connect", 1)
        assert await upstream.status(number) == "connecting"  # so that its answer was the treacherous one
        shown = await code_on(socket)

        assert shown == (await other_tool).data["qrCode"]
        assert not [frame for frame in socket.frames if frame.get("event") == "session.link_ended"]
    assert [row["reason"] for row in await rows.attempts(number)] == [None]


@pytest.mark.parametrize("by_webhook", [True, False], ids=["by webhook", "by poll"])
async def test_a_code_that_is_not_in_the_reply_to_connect_follows(
    a: Running, upstream: Upstream, by_webhook: bool
) -> None:
    number = await new_session(a, webhooks_to=a if by_webhook else None)
    await upstream.mode("slow_qr")
    async with watching(a, number) as socket:
        await connect(a, number)
        shown = await code_on(socket)

        assert shown == await upstream.code(number)
        assert decode_svg_data_url((await a.data("GET", path_of(number, "qr-code")))["qr_code"]) == shown
    assert upstream.count("connect") == 1


@pytest.mark.parametrize("how", ["unlink", "expire"])
async def test_after_the_phone_unlinked_the_next_connect_gives_a_code_without_delete_and_create(
    a: Running, upstream: Upstream, how: str
) -> None:
    number = await new_session(a, webhooks_to=a)
    async with watching(a, number) as socket:
        await connect(a, number)
        first = await code_on(socket)
        await upstream.scan(number)
        assert (await end_on(socket))["reason"] == "connected"

        await upstream.done("POST", f"/sessions/{number}/{how}")
        lost = "logged_out" if how == "unlink" else "expired"
        await socket.next("state", lambda frame: frame["data"].get("status") == lost)
        await connect(a, number)
        second = await code_on(socket)
        assert second not in (first, None)
        assert second == await upstream.code(number)
        await upstream.scan(number)
        assert (await end_on(socket))["reason"] == "connected"
    assert (upstream.count("POST"), upstream.count("DELETE")) == (1, 0)


async def test_an_ended_attempt_begins_again_with_one_click(serve: Serve, upstream: Upstream) -> None:
    async with serve(link_idle_s=0.4) as gateway:
        number = await new_session(gateway)
        async with watching(gateway, number) as socket:
            await connect(gateway, number)
            await code_on(socket)
            assert (await end_on(socket))["reason"] == "timeout"
            await connect(gateway, number)

            assert await code_on(socket) == await upstream.code(number)
            await upstream.scan(number)
            assert (await end_on(socket))["reason"] == "connected"


async def test_a_session_that_hangs_upstream_delays_no_other(a: Running, upstream: Upstream) -> None:
    hanging, other = await new_session(a), await new_session(a)
    await upstream.fault(f"/whatsapp-sessions/{hanging}", hang=True)
    async with watching(a, other) as socket:
        await connect(a, hanging)
        await upstream.wait_for_calls("connect", 1, hanging)
        async with asyncio.timeout(BEFORE_THE_CALL_ENDS_S):
            await connect(a, other)
            await code_on(socket)
            await upstream.scan(other)
            assert (await end_on(socket))["reason"] == "connected"


async def test_a_restart_of_a_linked_session_keeps_the_link_and_asks_for_no_code(
    a: Running, upstream: Upstream, rows: Rows
) -> None:
    number = await new_session(a)
    await upstream.link(number)
    assert (await a.data("GET", path_of(number) + "?refresh=1"))["status"] == "connected"

    assert (await a.data("POST", path_of(number, "restart")))["status"] == "connected"
    assert upstream.count("restart", number) == 1
    assert upstream.count("disconnect") == upstream.count("connect", number) == 0
    assert await rows.attempts(number) == []
    assert (await rows.log(number))[-1] == "session_restarted"


async def test_updates_at_two_gateways_at_once_end_in_upstreams_state(
    a: Running, b: Running, upstream: Upstream
) -> None:
    number = await new_session(a)
    wishes = [
        gateway.call("PUT", path_of(number), {"name": f"name {n}"}) for n, gateway in enumerate((a, b) * 4)
    ]
    assert {status for status, _ in await asyncio.gather(*wishes)} == {200}

    name = (await upstream.account("GET", f"/whatsapp-sessions/{number}")).data["name"]
    assert (await a.data("GET", path_of(number)))["name"] == name
    assert (await b.data("GET", path_of(number)))["name"] == name
