"""A gateway that starts while Postgres is away comes up, keeps webhooks of known sessions, and turns whole."""

import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from gateway.postgres.migrations.runner import TURN_KEY
from tests.launcher.running import Remote, reach
from tests.launcher.settings import SECRET
from tests.launcher.terminal import Terminal, until
from tests.processes.deaf_proxy import forwarding
from tests.processes.test_start import readiness

WHSEC = "whsec_of_session_12"
KEY = "key-of-session-12-0123456789"


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway that has run on a database, which is away now."""

    terminal: Terminal
    env: Mapping[str, str]
    database: str
    postgres_port: int
    port: int
    socket: Path

    @property
    def arguments(self) -> list[str]:
        return ["serve", "--port", str(self.port)]

    @property
    def known(self) -> Path:
        """The file of known sessions."""
        (file,) = Path(self.terminal.env["GATEWAY_DATA_DIR"]).glob("spool/known-*")
        return file

    def postgres(self) -> Any:
        return forwarding(self.socket, is_stale=False, port=self.postgres_port)


@pytest.fixture(scope="module")
def two_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        return one.getsockname()[1], two.getsockname()[1]


@pytest.fixture
async def place(terminal: Terminal, database: str, socket_of: Path, two_ports: tuple[int, int]) -> Place:
    connection = await asyncpg.connect(database)
    await connection.execute(
        "INSERT INTO whatsapp_sessions (wasender_session_id, name, phone_number, api_key, webhook_secret)"
        " VALUES (12, 'Shop', '+1555', $1, $2)",
        KEY,
        WHSEC,
    )
    await connection.close()
    name = urlsplit(database).path[1:]
    dsn = f"postgresql://gateway@127.0.0.1:{two_ports[0]}/{name}?sslmode=disable"
    env = {"DATABASE_URL": dsn, "GATEWAY_SECRET": SECRET, "WASENDER_BASE_URL": "http://127.0.0.1:9/api"}
    place = Place(terminal, env, database, two_ports[0], two_ports[1], socket_of)
    async with place.postgres(), terminal.start(*place.arguments, env=env) as serve:
        await serve.line("runs at")
        await serve.stop()
    return place


def message(key_id: str) -> dict[str, Any]:
    key = {"id": key_id, "fromMe": False, "remoteJid": "4915155555555@s.whatsapp.net"}
    return {
        "event": "messages.upsert",
        "sessionId": KEY,
        "data": {"messages": {"key": key, "message": {"conversation": key_id}}},
    }


async def post(remote: Remote, path: str, key_id: str, secret: str = WHSEC) -> tuple[int, Mapping[str, str]]:
    async with remote.http.post(
        f"{remote.url}/api/whatsapp/webhook{path}",
        json=message(key_id),
        headers={"X-Webhook-Signature": secret},
    ) as reply:
        return reply.status, reply.headers.copy()


async def stored(database: str) -> list[tuple[str, int]]:
    connection = await asyncpg.connect(database)
    rows = await connection.fetch(
        "SELECT message_id, wasender_session_id FROM whatsapp_incoming_messages ORDER BY created_at, message_id"
    )
    await connection.close()
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_webhooks_of_known_sessions_are_kept_until_postgres_is_back(place: Place, workers: str) -> None:
    async with (
        place.terminal.start(*place.arguments, "--workers", workers, env=place.env) as serve,
        reach(f"http://127.0.0.1:{place.port}") as remote,
    ):
        await serve.line("start.waits")
        status, body = await readiness(remote)
        assert (status, body["status"]) == (200, "degraded")
        assert f"Nothing listens at 127.0.0.1:{place.postgres_port}" in body["why"]
        assert "kept on the gateway's disk" in body["why"]
        async with remote.http.get(f"{remote.url}/healthz") as reply:
            assert reply.status == 200

        for path, key_id in (("/12", "by-path"), (".php", "by-secret"), ("", "by-secret-too")):
            assert (await post(remote, path, key_id))[0] == 200
        assert (await post(remote, "/12", "wrong", secret="another-secret"))[0] == 401
        status, headers = await post(remote, "/13", "unknown")
        assert status == 503
        assert int(headers["Retry-After"]) > 0
        assert str((await readiness(remote))[1]["spooled"]) == "3"
        status, body = await remote.call("GET", "/api/conversations")
        assert (status, body["code"]) == (503, "unavailable")

        async with place.postgres():
            await until(lambda: serve.said.count("runs at") == int(workers), "the gateway is whole")
            await serve.line("replay.done replayed=3")
            assert (await post(remote, "/12", "later"))[0] == 200
            assert await readiness(remote) == (200, {"status": "ready"})
            assert {("by-path", 12), ("by-secret", 12), ("by-secret-too", 12), ("later", 12)} == set(
                await stored(place.database)
            )
            ended = await serve.end(signal.SIGTERM)
    assert ended.code == 0
    assert "Traceback" not in ended.out + ended.err


async def test_what_is_known_stands_encrypted_in_the_data_folder(place: Place) -> None:
    file = place.known

    assert file.stat().st_mode & 0o777 == 0o600
    text = file.read_text()
    assert text.startswith("enc:v1:")
    assert WHSEC not in text
    assert KEY not in text


async def test_another_secret_opens_nothing_and_an_address_that_never_answered_is_a_mistake(
    place: Place, free_port: int
) -> None:
    other = {**place.env, "GATEWAY_SECRET": SECRET[::-1]}
    ended = await place.terminal.run(*place.arguments, env=other)
    assert ended.code == 2
    assert "Nothing listens" in ended.err
    assert "known_sessions.unreadable" in ended.err

    elsewhere = {**place.env, "DATABASE_URL": f"postgresql://gateway@127.0.0.1:{free_port}/shop"}
    assert "Nothing listens" in (await place.terminal.run(*place.arguments, env=elsewhere)).complaint()


async def test_a_signal_ends_a_gateway_that_waits_for_postgres(place: Place) -> None:
    for workers in ("1", "2"):
        async with place.terminal.start(*place.arguments, "--workers", workers, env=place.env) as serve:
            await serve.line("start.waits")
            ended = await serve.end(signal.SIGTERM, within_s=15)
            assert ended.code == 0, ended


async def test_a_secret_that_changed_while_the_gateway_ran_is_the_one_that_is_known(place: Place) -> None:
    file = place.known
    before = file.read_text()
    async with place.postgres(), place.terminal.start(*place.arguments, env=place.env) as serve:
        await until(lambda: file.read_text() != before, "the start has written the file")
        before = file.read_text()
        connection = await asyncpg.connect(place.database)
        await connection.execute("UPDATE whatsapp_sessions SET webhook_secret = 'whsec_rotated'")
        await connection.close()
        await until(lambda: file.read_text() != before, "the change has been written")
        await serve.stop()

    async with (
        place.terminal.start(*place.arguments, env=place.env) as serve,
        reach(f"http://127.0.0.1:{place.port}") as remote,
    ):
        await serve.line("start.waits")
        assert (await post(remote, "/12", "new", secret="whsec_rotated"))[0] == 200
        assert (await post(remote, "/12", "old"))[0] == 401


async def test_postgres_that_goes_away_while_a_migration_waits_is_waited_for(place: Place) -> None:
    """Between the questions of the start it may go at any time."""
    holder = await asyncpg.connect(place.database)
    await holder.execute("SELECT pg_advisory_lock($1)", TURN_KEY)
    async with (
        place.terminal.start(*place.arguments, env=place.env) as serve,
        reach(f"http://127.0.0.1:{place.port}") as remote,
    ):
        async with place.postgres():
            await serve.line("Another gateway is migrating")
            status, body = await readiness(remote)
            assert (status, body["status"]) == (503, "starting")
            assert (await post(remote, "/12", "while-starting"))[0] == 200
        await serve.line("start.waits")
        assert (await readiness(remote))[1]["status"] == "degraded"
        await holder.close()
        async with place.postgres():
            await serve.line("runs at")
            await serve.line("replay.done replayed=1")
            await serve.stop()
