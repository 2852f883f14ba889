"""What becomes of an attempt when the gateway that follows it dies, freezes, stops, or loses its ears."""

import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.launcher.running import Reached, Remote, Running, reach
from tests.launcher.settings import SECRET, media_url_for
from tests.launcher.terminal import Command, Terminal
from tests.linking.conftest import (
    SELDOM_S,
    Rows,
    Serve,
    code_on,
    connect,
    end_on,
    new_session,
    watching,
)
from tests.linking.upstream import Upstream

TAKEN_OVER_WITHIN_S = 30.0
"""A dead gateway's attempt is looked for every 3 s; the rest is for a busy machine."""

Spawn: TypeAlias = Callable[[], AbstractAsyncContextManager[tuple[Command, Remote]]]


@pytest.fixture
def spawn(database: str, tmp_path: Path, upstream: Upstream) -> Spawn:
    """Starts one more gateway of the cluster in a process of its own, which can be killed."""
    terminal = Terminal(tmp_path)
    env = {
        "DATABASE_URL": database,
        "GATEWAY_SECRET": SECRET,
        "GATEWAY_LINK_POLL_S": "0.1",
        "GATEWAY_PROBE_S": "0.5",
        "WASENDER_BASE_URL": upstream.base,
        "WASENDER_TOKEN": upstream.simulator.account_token,
        "GATEWAY_MEDIA_URL": media_url_for(database),
    }

    @contextlib.asynccontextmanager
    async def start() -> AsyncIterator[tuple[Command, Remote]]:
        async with (
            terminal.start("serve", "--port", "0", env=env) as command,
            reach((await command.line(r"runs at (\S+)"))[1]) as remote,
        ):
            yield command, remote

    return start


async def goes_on(gateway: Reached, number: int, upstream: Upstream) -> float:
    """Seconds until the next code upstream is shown here; then the phone scans it and is linked."""
    async with watching(gateway, number) as socket:
        began = time.monotonic()
        code = await upstream.rotate(number)
        await code_on(socket, code)
        took = time.monotonic() - began
        await upstream.scan(number)
        assert (await end_on(socket))["reason"] == "connected"
    return took


async def test_an_attempt_of_a_killed_gateway_goes_on_at_another_without_a_second_connect(
    spawn: Spawn, serve: Serve, upstream: Upstream, rows: Rows
) -> None:
    async with spawn() as (command, doomed), serve(probe_s=0.5) as other:
        number = await new_session(doomed)
        async with watching(doomed, number) as socket:
            await connect(doomed, number)
            await code_on(socket)
            command.send(signal.SIGKILL)

        assert await goes_on(other, number, upstream) < TAKEN_OVER_WITHIN_S
        await rows.until_logged(number, "connected")
    assert upstream.count("connect") == 1
    [attempt] = await rows.attempts(number)
    assert (attempt["reason"], attempt["attempt"]) == ("connected", 2)


async def test_an_attempt_goes_on_when_its_killed_gateway_is_started_again(
    spawn: Spawn, upstream: Upstream, rows: Rows
) -> None:
    async with spawn() as (command, doomed):
        number = await new_session(doomed)
        async with watching(doomed, number) as socket:
            await connect(doomed, number)
            await code_on(socket)
            command.send(signal.SIGKILL)
    async with spawn() as (_, again):
        assert await goes_on(again, number, upstream) < TAKEN_OVER_WITHIN_S

    assert upstream.count("connect") == 1
    assert [row["reason"] for row in await rows.attempts(number)] == ["connected"]


async def test_an_attempt_of_a_frozen_gateway_goes_on_and_the_thawed_one_leaves_it_alone(
    spawn: Spawn, serve: Serve, upstream: Upstream, rows: Rows
) -> None:
    async with spawn() as (command, frozen), serve(probe_s=0.5) as other:
        number = await new_session(frozen)
        async with watching(other, number) as socket:
            await connect(frozen, number)
            await code_on(socket)
            [before] = await rows.attempts(number)
            command.send(signal.SIGSTOP)
            try:
                await rows.until(
                    "SELECT holder <> $2 FROM gateway.whatsapp_link_attempts WHERE wasender_session_id = $1",
                    number,
                    before["holder"],
                )
            finally:
                command.send(signal.SIGCONT)
            [taken] = await rows.attempts(number)
            await command.line("listener.up.*|listener.lost.*")
            await frozen.call("GET", "/readyz")

        await goes_on(other, number, upstream)
        [after] = await rows.attempts(number)
        await rows.until_logged(number, "connected")
    assert after["holder"] == taken["holder"]
    assert upstream.count("connect") == 1
    assert (await rows.log(number)).count("connected") == 1


async def test_an_attempt_of_a_gateway_that_is_stopped_goes_on_at_another_at_once(
    serve: Serve, upstream: Upstream, rows: Rows
) -> None:
    async with serve() as other:
        async with serve() as leaving:
            number = await new_session(leaving)
            async with watching(leaving, number) as socket:
                await connect(leaving, number)
                await code_on(socket)

        assert await goes_on(other, number, upstream) < TAKEN_OVER_WITHIN_S
    assert upstream.count("connect") == 1
    assert [row["reason"] for row in await rows.attempts(number)] == ["connected"]


_END_LISTENERS = """
    SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
    WHERE application_name = 'whatsapp-gateway-listener' AND datname = current_database()
"""


async def test_a_flap_of_the_listener_in_the_middle_costs_a_moment_and_no_second_connect(
    a: Running, upstream: Upstream, rows: Rows
) -> None:
    number = await new_session(a)
    async with watching(a, number) as socket:
        await connect(a, number)
        await code_on(socket)
        assert await rows.connection.fetchval(_END_LISTENERS) == 1

        await socket.next("stale")
        await socket.next("fresh")
        assert await goes_on(a, number, upstream) < TAKEN_OVER_WITHIN_S
    assert upstream.count("connect") == 1
    assert [row["reason"] for row in await rows.attempts(number)] == ["connected"]


async def test_a_code_that_came_while_nobody_listened_is_shown_afterwards(
    serve: Serve, upstream: Upstream, rows: Rows
) -> None:
    # No poll will see it: the code is written by the webhook, and the bell for it is lost.
    async with serve(link_poll_s=SELDOM_S) as gateway:
        number = await new_session(gateway, webhooks_to=gateway)
        async with watching(gateway, number) as socket:
            await connect(gateway, number)
            await code_on(socket)
            await rows.connection.fetchval(_END_LISTENERS)
            code = await upstream.rotate(number)

            assert await code_on(socket, code) == code


async def test_a_scan_while_nobody_listened_is_not_missed(
    serve: Serve, upstream: Upstream, rows: Rows
) -> None:
    async with serve() as gateway:
        number = await new_session(gateway)
        async with watching(gateway, number) as socket:
            await connect(gateway, number)
            await code_on(socket)
            await rows.connection.fetchval(_END_LISTENERS)
            await upstream.scan(number)

            assert (await end_on(socket))["reason"] == "connected"
    assert upstream.count("connect") == 1


async def test_the_attempts_of_a_killed_gateway_are_followed_by_one_poller_each(
    spawn: Spawn, serve: Serve, upstream: Upstream, rows: Rows
) -> None:
    async with spawn() as (command, doomed), serve(probe_s=0.5), serve(probe_s=0.5):
        numbers = [await new_session(doomed) for _ in range(6)]
        for number in numbers:
            await connect(doomed, number)
        for number in numbers:
            await upstream.wait_for_calls("qrcode", 1, number)
        before = {number: (await rows.attempts(number))[0]["holder"] for number in numbers}
        command.send(signal.SIGKILL)

        for number in numbers:
            await rows.until(
                "SELECT holder <> $2 FROM gateway.whatsapp_link_attempts WHERE wasender_session_id = $1",
                number,
                before[number],
            )
        assert await rows.leases() == numbers
    assert upstream.count("connect") == len(numbers)
