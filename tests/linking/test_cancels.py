"""Disconnect, delete and restart while a phone is being linked, also at a gateway that does not hold the poller."""

import asyncio

import pytest

from tests.launcher.running import Running, Socket
from tests.linking.conftest import (
    Rows,
    code_on,
    connect,
    end_on,
    new_session,
    path_of,
    status_of,
    watching,
)
from tests.linking.upstream import BEFORE_THE_CALL_ENDS_S, Upstream

HERE_OR_THERE = pytest.mark.parametrize("at_holder", [True, False], ids=["here", "elsewhere"])


async def nobody_asks_about(session_id: int, upstream: Upstream, gateway: Running, rows: Rows) -> bool:
    """Whether upstream hears nothing of a session while another one is polled ten times."""
    await rows.until_unleased(session_id)
    before = [call for call in upstream.calls if call.session_id == session_id]
    other = await new_session(gateway)
    await connect(gateway, other)
    await upstream.wait_for_calls("qrcode", 10, other)
    return before == [call for call in upstream.calls if call.session_id == session_id]


@HERE_OR_THERE
async def test_a_disconnect_during_linking_ends_the_attempt_and_the_polling(
    a: Running, b: Running, upstream: Upstream, rows: Rows, at_holder: bool
) -> None:
    number = await new_session(a)
    async with watching(a, number) as here, watching(b, number) as there:
        await connect(a, number)
        await code_on(here)
        reply = await (a if at_holder else b).data("POST", path_of(number, "disconnect"))

        assert reply["status"] == "disconnected"
        assert [(await end_on(socket))["reason"] for socket in (here, there)] == ["cancelled"] * 2
    assert await nobody_asks_about(number, upstream, a, rows)
    assert [await status_of(gateway, number) for gateway in (a, b)] == ["disconnected"] * 2
    assert await upstream.status(number) == "disconnected"
    log = await rows.log(number)
    assert log.index("link_cancelled") < log.index("disconnected")


@HERE_OR_THERE
async def test_a_delete_during_linking_leaves_nothing_behind(
    a: Running, b: Running, upstream: Upstream, rows: Rows, at_holder: bool
) -> None:
    number = await new_session(a)
    async with watching(a, number) as here, watching(b, number) as there:
        await connect(a, number)
        await code_on(here)
        reply = await (a if at_holder else b).data("DELETE", path_of(number))

        assert reply is None
        for socket in (here, there):
            await socket.state("session.deleted")
    assert await nobody_asks_about(number, upstream, a, rows)
    assert (await upstream.account("GET", f"/whatsapp-sessions/{number}")).status == 404
    assert (await a.call("GET", path_of(number)))[0] == 404
    assert [row["reason"] for row in await rows.attempts(number)] in ([], ["cancelled"])


@HERE_OR_THERE
async def test_a_restart_during_linking_begins_a_new_attempt_with_a_new_code(
    a: Running, b: Running, upstream: Upstream, rows: Rows, at_holder: bool
) -> None:
    number = await new_session(a)
    async with watching(a, number) as here, watching(b, number) as there:
        await connect(a, number)
        first = [await code_on(socket) for socket in (here, there)]
        await (a if at_holder else b).data("POST", path_of(number, "restart"))
        second = [await code_on(socket) for socket in (here, there)]

        assert second == [await upstream.code(number)] * 2
        assert first[0] not in second
        await upstream.scan(number)
        assert [await final_end(socket) for socket in (here, there)] == ["connected"] * 2
    assert [row["reason"] for row in await rows.attempts(number)] == ["cancelled", "connected"]
    assert upstream.count("connect") == 2


async def final_end(socket: Socket) -> str:
    while (reason := (await end_on(socket))["reason"]) == "cancelled":
        pass
    return str(reason)


async def test_a_disconnect_while_upstream_hangs_on_connect_does_not_wait_for_it(
    a: Running, upstream: Upstream, rows: Rows
) -> None:
    number = await new_session(a)
    await upstream.fault(f"/whatsapp-sessions/{number}/connect", hang=True, times=1)
    async with watching(a, number) as socket:
        await connect(a, number)
        await upstream.wait_for_calls("connect", 1)
        async with asyncio.timeout(BEFORE_THE_CALL_ENDS_S):
            await a.data("POST", path_of(number, "disconnect"))

        assert (await end_on(socket))["reason"] == "cancelled"
    assert await nobody_asks_about(number, upstream, a, rows)


async def test_connect_and_disconnect_in_quick_turns_end_in_what_was_asked_last(
    a: Running, b: Running, upstream: Upstream, rows: Rows
) -> None:
    number = await new_session(a)
    for gateway in (a, b, a, b):
        await connect(gateway, number)
        await gateway.data("POST", path_of(number, "disconnect"))
    async with watching(b, number) as socket:
        await connect(a, number)
        assert await code_on(socket) == await upstream.code(number)

    reasons = [row["reason"] for row in await rows.attempts(number)]
    assert reasons == ["cancelled"] * 4 + [None]
    assert await rows.leases() == [number]
