"""`gateway simulator`, `integrations set` and `sync`: what has to do with WasenderAPI."""

import asyncio
import signal
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.launcher.running import reach
from tests.launcher.settings import SECRET
from tests.launcher.terminal import PATIENCE_S, Ended, Terminal, until
from tests.processes.postgres_processes import servers_of
from tests.processes.upstream import simulated


async def test_the_simulator_alone_serves_what_it_announces_and_keeps_its_state(terminal: Terminal) -> None:
    state = terminal.folder / "state.json"
    wish = {"name": "Shop", "phone_number": "+15550001111", "account_protection": True, "log_messages": True}
    async with simulated(terminal, state) as upstream, aiohttp.ClientSession() as http:
        assert (await upstream.call("POST", "/whatsapp-sessions", wish))[0] == 201
        async with http.get(f"{upstream.base_url}/whatsapp-sessions") as unknown:
            assert unknown.status == 401
        async with http.get((await upstream.command.line(r"phone: (\S+)"))[1]) as phone:
            assert phone.status == 200
        assert (await upstream.command.end(signal.SIGINT)).code == 0
    assert state.stat().st_mode & 0o777 == 0o600

    async with simulated(terminal, state) as again:
        assert again.token == upstream.token
        _, listed = await again.call("GET", "/whatsapp-sessions")
        assert [row["name"] for row in listed["data"]] == ["Shop"]
        assert (await again.command.end(signal.SIGTERM)).code == 0


async def test_the_simulator_takes_the_token_it_is_given(terminal: Terminal) -> None:
    env = {"GATEWAY_DATA_DIR": str(terminal.folder)}
    async with terminal.start("simulator", "--port", "0", "--token", "1|mine", env=env) as simulator:
        assert (await simulator.line(r"WASENDER_TOKEN=(\S+)"))[1] == "1|mine"


async def test_a_request_that_the_simulator_holds_does_not_hold_up_its_end(terminal: Terminal) -> None:
    async with simulated(terminal, terminal.folder / "state.json") as upstream:
        fault = {"path": "/whatsapp-sessions", "hang": True, "times": 1}
        await upstream.control("POST", "/faults", fault)
        held = asyncio.create_task(upstream.call("GET", "/whatsapp-sessions"), name="held")
        async with asyncio.timeout(PATIENCE_S):
            while await upstream.control("GET", "/faults") != []:
                pass  # the fault goes from the list as it takes hold of the request
        ended = await upstream.command.end(signal.SIGINT, 10)
        await asyncio.gather(held, return_exceptions=True)

    assert ended.code == 0


@pytest.mark.parametrize("stdin", ["", "\n", "   \n"])
async def test_an_empty_account_token_is_refused(terminal: Terminal, database: str, stdin: str) -> None:
    env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET}

    ended = await terminal.run("integrations", "set", "wasender", env=env, stdin=stdin)

    assert "The token is empty" in ended.complaint()


async def test_an_unknown_integration_is_refused(terminal: Terminal, database: str) -> None:
    env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET}

    ended = await terminal.run("integrations", "set", "telegram", env=env, stdin="x\n")

    assert "only wasender" in ended.complaint()


async def test_a_token_stored_by_stdin_is_used_by_a_gateway_that_runs_already(
    terminal: Terminal, database: str
) -> None:
    async with simulated(terminal, terminal.folder / "state.json") as upstream:
        env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET, "WASENDER_BASE_URL": upstream.base_url}
        async with (
            terminal.start("serve", "--port", "0", env=env) as serve,
            reach((await serve.line(r"runs at (\S+)"))[1]) as remote,
        ):
            status, reply = await remote.call("POST", "/api/whatsapp-sessions/sync")
            assert (status, reply["code"]) == (502, "upstream_unauthorized")
            await _store(terminal, env, "1|wrong")
            assert (await remote.call("POST", "/api/whatsapp-sessions/sync"))[0] == 502
            # A changed token is read again at once, because upstream refused the old one.
            stored = await _store(terminal, env, upstream.token)
            assert (await remote.call("POST", "/api/whatsapp-sessions/sync"))[0] == 200
            said = serve.said

    assert upstream.token not in stored.out + stored.err + said


async def _store(terminal: Terminal, env: dict[str, str], text: str) -> Ended:
    ended = await terminal.run("integrations", "set", "wasender", env=env, stdin=text + "\n")
    assert ended.code == 0, ended
    assert ended.out == "Stored. Running gateways use it within a minute."
    return ended


async def test_sync_counts_what_it_created_updated_and_missed(terminal: Terminal, database: str) -> None:
    async with simulated(terminal, terminal.folder / "state.json") as upstream:
        env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET, **upstream.env}
        wish = {"account_protection": True, "log_messages": True}
        for number in range(3):
            named = {"name": f"S{number}", "phone_number": f"+1555000111{number}"}
            assert (await upstream.call("POST", "/whatsapp-sessions", {**wish, **named}))[0] == 201
        first = await terminal.run("sync", env=env)
        assert (await upstream.call("PUT", "/whatsapp-sessions/1", {"name": "Renamed"}))[0] == 200
        assert (await upstream.call("DELETE", "/whatsapp-sessions/2"))[0] == 204
        second = await terminal.run("sync", env=env)

    assert (first.code, first.out) == (0, "3 sessions: 3 created, 0 updated, 0 gone, 0 unchanged.")
    assert (second.code, second.out) == (0, "2 sessions: 0 created, 1 updated, 1 gone, 1 unchanged.")


async def test_sync_with_a_token_that_upstream_refuses_fails_with_one_sentence(
    terminal: Terminal, database: str
) -> None:
    async with simulated(terminal, terminal.folder / "state.json") as upstream:
        env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET, "WASENDER_BASE_URL": upstream.base_url}
        ended = await terminal.run("sync", env={**env, "WASENDER_TOKEN": "1|wrong-token"})

    assert ended.code == 1
    assert len(ended.err.splitlines()) == 1
    assert ended.err.startswith("Error: ")
    assert "wrong-token" not in ended.err


async def test_a_command_that_is_told_to_end_stops_the_postgres_it_started(
    terminal: Terminal, used_data_dir: Path
) -> None:
    asked, let_go = asyncio.Event(), asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        asked.set()
        await let_go.wait()
        return web.Response()

    app = web.Application()
    app.router.add_get("/{tail:.*}", hang)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        env = {"WASENDER_BASE_URL": f"http://127.0.0.1:{runner.addresses[0][1]}", "WASENDER_TOKEN": "1|x"}
        arguments = ["sync", "--embedded", "--data-dir", str(used_data_dir / "demo")]
        async with terminal.start(*arguments, env=env) as sync:
            await until(asked.is_set, "sync asks upstream")
            assert servers_of(used_data_dir) != []
            ended = await sync.end(signal.SIGTERM, 15)
    finally:
        let_go.set()
        await runner.cleanup()

    assert ended.code == 143
    assert "Traceback" not in ended.err
    assert servers_of(used_data_dir) == []
