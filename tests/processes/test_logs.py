"""What a gateway says of itself at its most talkative holds no secret, key, token, ticket or query string."""

import json
import signal
from typing import Any

import asyncpg
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.launcher.running import Remote, Socket, reach
from tests.launcher.settings import SECRET
from tests.launcher.terminal import Terminal
from tests.processes.upstream import Upstream, simulated

STRANGER = "ticket-of-a-stranger-in-a-query"


async def _link_and_write(remote: Remote, upstream: Upstream) -> list[str]:
    """The main job; returns what only the two sides of it may know."""
    wish = {"name": "Shop", "phone_number": "+4915100000009"}
    number = (await remote.data("POST", "/api/whatsapp-sessions", wish))["id"]
    ticket = (await remote.data("POST", "/api/tickets", {"for": "ws"}))["ticket"]
    async with connect(f"{remote.url.replace('http', 'ws', 1)}/ws?ticket={ticket}") as raw:
        client = Socket(raw)
        await client.next("welcome")
        await client.subscribe(f"session:{number}")
        await client.subscribe("inbox:*")
        await remote.data("POST", f"/api/whatsapp-sessions/{number}/connect")
        code = (await client.state("session.qr"))["data"]["qrCode"]
        await upstream.control("POST", f"/sessions/{number}/scan")
        await client.state("session.link_ended")
        inbound = {"from": "+4915123456789", "text": "A private word", "push_name": "Ann"}
        await upstream.control("POST", f"/sessions/{number}/inbound", inbound)
        await client.event("message.created")
    return [ticket, code]


async def _listen_as_supabase_does(remote: Remote) -> None:
    """Its clients have their key in the address."""
    address = f"{remote.url.replace('http', 'ws', 1)}/realtime/v1/websocket?vsn=2.0.0&apikey="
    async with connect(address + remote.token()) as raw:
        await raw.send(json.dumps(["1", "1", "realtime:x", "phx_join", {"access_token": remote.token()}]))
        assert '"ok"' in str(await raw.recv())
        await raw.send("nonsense")
    with pytest.raises(InvalidStatus):
        await connect(address + STRANGER)


async def _be_refused(remote: Remote) -> None:
    """Everything that is wrong about a caller, each with something that must not be repeated."""
    async with connect(f"{remote.url.replace('http', 'ws', 1)}/ws?ticket={STRANGER}") as raw:
        await raw.wait_closed()
        assert raw.close_code == 4501
    assert (await remote.call("GET", f"/api/me?token={STRANGER}", token=STRANGER))[0] == 401
    for headers in ({"X-Webhook-Signature": STRANGER}, {}):
        body: dict[str, Any] = {"event": "messages.received", "sessionId": STRANGER, "data": {}}
        status, _ = await remote.call("POST", "/api/whatsapp/webhook", body, token="", headers=headers)
        assert status == 401
    await remote.call("GET", f"/nowhere?secret={STRANGER}", token="")


async def test_nothing_secret_is_said_at_the_most_talkative_level(
    terminal: Terminal, database: str, free_port: int
) -> None:
    async with simulated(terminal, terminal.folder / "upstream.json") as upstream:
        env = {
            "DATABASE_URL": database,
            "GATEWAY_SECRET": SECRET,
            "GATEWAY_PORT": str(free_port),
            "GATEWAY_PUBLIC_URL": f"http://127.0.0.1:{free_port}",
            "GATEWAY_LOG_LEVEL": "debug",
            **upstream.env,
        }
        async with (
            terminal.start("serve", env=env) as serve,
            reach((await serve.line(r"runs at (\S+)"))[1]) as remote,
        ):
            known = await _link_and_write(remote, upstream)
            await _listen_as_supabase_does(remote)
            await _be_refused(remote)
            ended = await serve.end(signal.SIGTERM)
        said = ended.err
        told = (await upstream.command.end(signal.SIGTERM)).err

    connection = await asyncpg.connect(database)
    row = await connection.fetchrow("SELECT api_key, webhook_secret FROM whatsapp_sessions")
    await connection.close()
    assert row is not None
    assert "connection.opened" in said  # the log is on, and what follows means something
    for word in (SECRET, STRANGER, upstream.token, row["api_key"], row["webhook_secret"], *known):
        assert len(word) > 8
        assert word not in said
        assert word not in told
        # Nor as JSON or bytes would show it.
        assert json.dumps(word)[1:-1] not in said
    assert "?ticket=" not in said
    assert "apikey" not in said
    assert "A private word" not in said
    assert "eyJ" not in said  # how every JWT begins
    assert "Traceback" not in said
