"""A whole day's job, and then every secret of it is looked for: in logs, frames, answers, rows and files."""

import json
import logging
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.postgres.sessions.stored_secrets import StoredSecrets
from gateway.postgres.sessions.vault import Vault
from tests.http.support import SESSIONS, Shop, eventually, opened
from tests.http.test_secrets_stay_in import logged, places_of
from tests.launcher.running import running
from tests.launcher.settings import SECRET, settings_for
from tests.realtime.phoenix import ALL_INCOMING, phoenix

PASSWORD = "a password that nobody else has"
PROJECT = "secret-of-the-supabase-project-of-the-shop"
METRICS = "token-of-the-metrics-0123456789"


LOOKS = (
    "/api/conversations", "/api/conversations/34600111222/messages", "/api/journal", "/api/me", "/api/people",
    "/api/account/logins", "/healthz", "/readyz", "/metrics", "/openapi.json",
)  # fmt: skip


async def seal(database: str) -> None:
    """The operator has chosen that secrets are encrypted."""
    pool = await asyncpg.create_pool(database, min_size=1, max_size=1)
    await StoredSecrets(pool, Vault(SECRET)).encrypt()
    await pool.close()


class Job:
    """Does everything, and keeps what it was told."""

    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        self.heard: list[Any] = []
        self.secrets: dict[str, str] = {}

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        status, reply = await self._shop.gateway.call(method, path, body, **more)
        assert status < 500, (method, path, reply)
        self.heard.append(reply)
        return reply.get("data") if isinstance(reply, dict) else reply

    async def log_in(self) -> dict[str, str]:
        await self.call("POST", "/api/people", {"name": "Ann", "role": "admin", "password": PASSWORD})
        body = {"name": "Ann", "password": PASSWORD}
        async with self._shop.http.post(self._shop.gateway.url + "/login", json=body) as reply:
            assert reply.status == 200
            name, _, value = reply.headers["Set-Cookie"].partition(";")[0].partition("=")
        self.secrets["cookie"] = value
        return {"Cookie": f"{name}={value}"}

    async def tickets(self, cookie: dict[str, str]) -> str:
        """Makes one and uses it; these two answers give a secret out, and are not kept."""
        made = await self._shop.gateway.data(
            "POST", "/api/tickets", {"for": "embed"}, token="", headers=cookie
        )
        self.secrets["ticket"] = made["ticket"]
        used = await self._shop.gateway.data(
            "POST", "/api/tickets/redeem", {"ticket": made["ticket"]}, token=""
        )
        self.secrets["token"] = str(used["token"])
        return str(used["token"])

    async def keys_of(self, session_id: int) -> None:
        """What upstream made for the session, by the one way there is to see it."""
        shown = await self._shop.gateway.data("GET", f"{SESSIONS}/{session_id}?reveal=secrets")
        self.secrets |= {f"{name} of {session_id}": shown[name] for name in ("api_key", "webhook_secret")}

    async def link(self, session_id: int, cookie: dict[str, str], socket: Any) -> None:
        one = f"{SESSIONS}/{session_id}"
        await self.call("POST", f"{one}/connect", token="", headers=cookie)
        await socket.state("session.qr")
        await self.call("GET", f"{one}/qr-code", token="", headers=cookie)
        await self._shop.gateway.data("POST", f"/_simulator/sessions/{session_id}/scan")
        await socket.state("session.link_ended")

    async def look_at_everything(self, session_id: int) -> None:
        one = f"{SESSIONS}/{session_id}"
        about_one = [one, f"{one}?refresh=1", f"{one}/status", f"{one}/logs?upstream=1"]
        for path in [SESSIONS, f"{SESSIONS}?refresh=1", *about_one, *LOOKS]:
            await self.call("GET", path)
        for path in (
            f"{SESSIONS}/sync",
            f"{one}/refresh",
            f"{one}/repair-webhook",
            f"{one}/restart",
            f"{one}/regenerate-key",
        ):
            await self.call("POST", path)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of the gateway's own; the simulator's state is upstream's side of it."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "simulator.json"]
    return {path.name: path.read_bytes() for path in files}


async def test_no_secret_of_a_whole_job_is_found_anywhere(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await seal(database)
    settings = settings_for(database, tmp_path, supabase_jwt_secret=PROJECT, metrics_token=METRICS)
    async with running(settings) as gateway, opened(gateway, database) as shop:
        job = Job(shop)
        cookie = await job.log_in()
        token = await job.tickets(cookie)
        session_id = await shop.create()
        await job.keys_of(session_id)
        async with gateway.socket(token) as socket, phoenix(gateway, token) as client:
            for topic in ("inbox:*", "sessions", f"session:{session_id}"):
                await socket.subscribe(topic)
            await client.join("shop", ALL_INCOMING, {**ALL_INCOMING, "table": "whatsapp_sessions"})
            await job.link(session_id, cookie, socket)
            leak = f"my key is {job.secrets[f'api_key of {session_id}']}"
            inbound = {"from": "+34600111222", "push_name": "Carla", "text": leak}
            await gateway.data("POST", f"/_simulator/sessions/{session_id}/inbound", inbound)
            await socket.event("message.created")
            await client.change()
            await job.look_at_everything(session_id)
            await job.keys_of(session_id)
            await job.call("POST", "/api/account/password", {}, token=token)
            await job.call("POST", "/logout", token="", headers=cookie)
            frames = json.dumps([socket.frames, [said.payload for said in client.said]])
        await gateway.gateway.access.access_log.write()
        await eventually(
            lambda: shop.db.fetchval("SELECT count(*) FROM gateway.access_log WHERE event = 'logout'")
        )
        upstream = gateway.gateway.upstream.simulator
        assert upstream is not None
        job.secrets |= {
            "password": PASSWORD, "account token": upstream.account_token, "secret": SECRET, "project": PROJECT,
            "metrics": METRICS, "bearer": gateway.token().rpartition(".")[2],
        }  # fmt: skip
        # The tests' own clients log what they send, and uvicorn does below the level that `gateway serve` gives it.
        quiet = {"websockets.client": logging.CRITICAL, "uvicorn.error": logging.WARNING}
        caplog.records[:] = [
            record for record in caplog.records if record.levelno >= quiet.get(record.name, 0)
        ]
        said, answers = logged(caplog), json.dumps(job.heard)
        found: set[tuple[str, ...]] = set()
        for name, secret in job.secrets.items():
            assert len(secret) >= 8, name
            found |= {(name, where) for where, text in (("logs", said), ("frames", frames), ("answers", answers))
                      if secret in text}  # fmt: skip
            found |= {(name, *place) for place in await places_of(shop.db, secret)}
    found |= {(name, file) for file, content in files_of(tmp_path).items() for name, secret in job.secrets.items()
              if secret.encode() in content}  # fmt: skip
    assert found == set()
