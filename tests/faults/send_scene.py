"""A shop of the send hunt: two gateways on one database, two numbers, and an upstream that outlives both gateways."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from gateway.domain.access import Role
from tests.faults.send_naive import phone_of
from tests.faults.send_oracle import Row, Taken
from tests.faults.send_plan import CHATS, SESSIONS, Message
from tests.faults.sending import free_port
from tests.faults.server import Server
from tests.launcher.child import Child
from tests.launcher.running import mint
from tests.simulator.support import QUICK, Served, serving

PATIENCE_S = 60.0
NEWS_S = 0.05
UPSTREAM = replace(
    QUICK, hang_max_s=1.0, webhook_timeout_s=2.0, webhook_retry_delays_s=(0.2, 0.5), sends_per_minute=None
)
TIMINGS: dict[str, Any] = {
    "gateway.postgres.connection.listener.FROZEN_AFTER_S": 2.5,
    "gateway.postgres.connection.listener.HEARTBEAT_S": 0.4,
    "gateway.runtime.sending.CALL_MARGIN_S": 0.5,
    "gateway.services.sending.service.LOOK_S": 0.5,
    "gateway.services.sending.runner.IDLE_S": 0.5,
    "gateway.domain.send_pace.SAFETY_S": 0.1,
    "gateway.domain.send_pace.BELIEVED_S": 3.0,
    "gateway.domain.send_queue.NOT_CONNECTED_S": 0.5,
    "gateway.domain.send_queue.PROBE_S": 0.5,
    "gateway.domain.send_queue.RESTRICTED_S": 0.5,
    "gateway.domain.send_queue.LONGEST_RESTRICTED_S": 2.0,
    "gateway.domain.send_queue.TRIAL_S": 1.0,
    "gateway.domain.send_queue.TOLD_EARLY_S": 1.0,
}
"""What takes seconds and minutes in life."""

_ROWS = """
SELECT m.send_no, m.queued_at, m.client_id, m.wasender_session_id::bigint AS session, m.to_phone, m.message_text,
    m.status, m.msg_id::bigint AS msg_id, m.wa_key_id, m.send_after IS NOT NULL AS is_scheduled,
    EXISTS (SELECT FROM gateway.stream AS s WHERE s.inbox = m.wasender_session_id::bigint
        AND s.tbl = 'whatsapp_outgoing_messages' AND s.record ->> 'id' = m.id::text
        AND s.record ->> 'status' = 'unknown') AS was_unknown
FROM whatsapp_outgoing_messages AS m
WHERE m.send_no IS NOT NULL
ORDER BY m.queued_at, m.send_no
"""
_INSERT = """
INSERT INTO whatsapp_outgoing_messages (wasender_session_id, client_id, to_phone, message_text, origin, status)
VALUES ($1, $2, $3, $4, 'sql', 'queued')
"""


class Scene:
    """Who takes part, and what a person or a program may ask of it."""

    def __init__(self, server: Server, database: str, served: Served, gateways: list[Child]) -> None:
        self.server = server
        self.database = database
        self.served = served
        self.gateways = gateways
        self.sessions: list[int] = []
        self.acknowledged: dict[str, int | None] = {}
        """Messages by `client_id`, and the id of the row where the answer named it."""
        self.retries: Counter[str] = Counter()
        self._moments: dict[str, str] = {}
        self.complaints: list[str] = []
        self._http = served.http

    @property
    def dsn(self) -> str:
        return self.server.dsn_of(self.database)

    async def open(self) -> None:
        """Two numbers are linked, and half the chats have written."""
        for number in range(SESSIONS):
            wish = {
                "name": f"Shop {number}", "phone_number": f"+1555000100{number}", "account_protection": False,
                "log_messages": number == 0,
            }  # fmt: skip
            status, reply = await self.ask("POST", "/api/whatsapp-sessions", wish, 0)
            assert status < 300, (status, reply)
            self.sessions.append(int(reply["data"]["id"]))
            await self.served.link(self.sessions[-1])
        connected = "SELECT count(*) FROM whatsapp_sessions WHERE lower(status) = 'connected'"
        await self.until(connected, lambda n: n == SESSIONS)
        for number, session_id in enumerate(self.sessions):
            for chat in range(CHATS // 2):
                hello = {"from": phone_of(number, chat), "text": "hello"}
                await self.served.control("POST", f"/sessions/{session_id}/inbound", hello)
        told = "SELECT count(*) FROM whatsapp_incoming_messages"
        await self.until(told, lambda n: n == SESSIONS * (CHATS // 2))
        # Rows from SQL count from the moment that is noted.
        await self.until(
            "SELECT count(*) FROM gateway.settings WHERE key = 'send_from_sql'", lambda n: n == 1
        )

    async def ask(
        self, method: str, path: str, body: Any, gateway: int, *, token: str | None = None, **headers: str
    ) -> tuple[int, Any]:
        """Status and answer. Raises where there is none."""
        sent = {"Authorization": f"Bearer {token or mint()}", **headers}
        url = self.gateways[gateway].url + path
        limit = aiohttp.ClientTimeout(total=3)
        async with self._http.request(method, url, json=body, headers=sent, timeout=limit) as reply:
            return reply.status, json.loads(await reply.text())

    async def until(self, query: str, is_right: Callable[[Any], bool]) -> None:
        """Returns once the value of a query is right. Raises AssertionError when it takes too long."""
        found: Any = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    found = await self.value(query)
                    if is_right(found):
                        return
                    await asyncio.sleep(NEWS_S)
        except TimeoutError:
            raise AssertionError(f"{query} did not come true; last seen: {found!r}") from None

    async def value(self, query: str) -> Any:
        """Of a query of one value; on a connection of its own, for the database may be another one by now."""
        try:
            connection = await asyncpg.connect(self.dsn)
        except (OSError, asyncpg.PostgresError):
            return None
        try:
            return await connection.fetchval(query)
        finally:
            connection.terminate()

    # ------------------------------------------------------------------ the three ways in

    async def write(self, message: Message) -> None:
        """Asks until it is answered, as a good client does; some ask once more."""
        if message.way == "sql":
            await self._insert(message)
            return
        row_id = await self._until_answered(message, message.gateway)
        if message.is_repeated:
            again = await self._until_answered(message, 1 - message.gateway)
            if again != row_id:
                self.complaints.append(f"{message.client_id}: repeated, it is {again} and was {row_id}")
        if message.is_cancelled and row_id is not None:
            await self._change(message, "DELETE", f"{row_id}")

    async def _insert(self, message: Message) -> None:
        connection = await asyncpg.connect(self.dsn)
        try:
            phone = phone_of(message.session, message.chat).lstrip("+")
            session = self.sessions[message.session]
            await connection.execute(_INSERT, session, message.client_id, phone, message.text)
        finally:
            await connection.close()
        self.acknowledged[message.client_id] = None

    async def _until_answered(self, message: Message, gateway: int) -> int | None:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    status, reply = await self._post(message, gateway)
                except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
                    status, reply = 0, None
                if status in (200, 202):
                    break
                if 400 <= status < 500 and status not in (408, 429):
                    self.complaints.append(f"{message.client_id}: {status} {reply}")
                    return None
                await asyncio.sleep(0.2)
                gateway = 1 - gateway
        data = reply["data"]
        row_id = int(data["id"]) if message.way == "rest" else int(data["msgId"])
        self.acknowledged[message.client_id] = row_id
        return row_id

    async def _post(self, message: Message, gateway: int) -> tuple[int, Any]:
        session_id, phone = self.sessions[message.session], phone_of(message.session, message.chat)
        if message.way == "old client":
            token = mint(role=Role.AGENT, sessions={session_id})
            body = {"to": phone, "text": message.text}
            more = {"Idempotency-Key": message.client_id}
            return await self.ask("POST", "/api/send-message", body, gateway, token=token, **more)
        body = {"client_id": message.client_id, "text": message.text}
        if message.later_s is not None:
            body["send_at"] = await self._moment(message)
        return await self.ask("POST", self._path(message), body, gateway)

    async def _moment(self, message: Message) -> str:
        """The same each time: a repeated wish is the same wish."""
        if message.client_id not in self._moments:
            query = f"SELECT to_char(now() AT TIME ZONE 'UTC' + interval '{message.later_s} s', '{_ISO}')"
            self._moments[message.client_id] = str(await self.value(query))
        return self._moments[message.client_id]

    def _path(self, message: Message, more: str = "") -> str:
        phone = phone_of(message.session, message.chat).lstrip("+")
        return f"/api/conversations/{phone}/messages{more}?session={self.sessions[message.session]}"

    async def _change(self, message: Message, method: str, row: str) -> int:
        """Status of a change that a person asks for once; 0 where there was no answer."""
        try:
            status, _ = await self.ask(method, self._path(message, f"/{row}"), None, message.gateway)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return 0
        return status

    async def retry(self, message: Message) -> bool:
        """Whether a person's retry of a failed message was taken."""
        connection = await asyncpg.connect(self.dsn)
        try:
            query = "SELECT id FROM whatsapp_outgoing_messages WHERE client_id = $1 AND status = 'failed'"
            row_id = await connection.fetchval(query, message.client_id)
        finally:
            await connection.close()
        if row_id is None:
            return False
        self.retries[message.client_id] += 1  # also where the answer is lost: it may have been taken
        return await self._change(message, "POST", f"{row_id}/retry") == 200

    def sender_of(self, session_id: int | None) -> int:
        """The gateway that began to send the queue of a session last, by what the gateways said."""
        began = [
            max(
                (line[:23] for line in child.said().splitlines() if f"started session={session_id}" in line),
                default="",
            )
            for child in self.gateways
        ]
        return began.index(max(began))

    # ------------------------------------------------------------------ what it came to

    async def at_rest(self) -> None:
        """Returns once nothing waits, and nothing is being sent."""
        await self.until(
            "SELECT count(*) FROM whatsapp_outgoing_messages WHERE status IN ('queued', 'sending')",
            lambda n: n == 0,
        )

    async def rows(self) -> list[Row]:
        """In the order of the queue."""
        connection = await asyncpg.connect(self.dsn)
        try:
            found = await connection.fetch(_ROWS)
        finally:
            await connection.close()
        return [
            Row(
                place, row["client_id"], row["session"], row["to_phone"].lstrip("+"), row["message_text"],
                row["status"], row["msg_id"], row["wa_key_id"],
                not row["is_scheduled"] and not row["was_unknown"] and not self.retries[row["client_id"]],
            )
            for place, row in enumerate(found)
        ]  # fmt: skip

    async def settled(self) -> int:
        """How many rows were unknown once, and are so no more."""
        query = f"SELECT count(*) FROM ({_ROWS}) AS r WHERE r.was_unknown AND r.status <> 'unknown'"
        return int(await self.value(query) or 0)

    async def taken(self) -> list[Taken]:
        """Upstream's own list."""
        return [Taken.of(row) for row in (await self.served.control("GET", "/sends")).json["data"]]


_ISO = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'


@contextlib.asynccontextmanager
async def scene(server: Server, folder: Path) -> AsyncIterator[Scene]:
    """Everything is up, and well."""
    async with contextlib.AsyncExitStack() as stack:
        served = await stack.enter_async_context(serving(settings=UPSTREAM))
        database = await stack.enter_async_context(server.database())
        port = free_port()
        children = []
        for number in range(2):
            more: dict[str, Any] = {"port": port} if number == 0 else {}
            child = Child(
                server.dsn_of(database), folder / f"gateway-{number}", constants=TIMINGS, probe_s=1.0,
                wasender_base_url=served.base, wasender_token=served.simulator.account_token, send_from_sql=True,
                public_url=f"http://127.0.0.1:{port}", media_url=(folder / "media").absolute().as_uri(), **more,
            )  # fmt: skip
            stack.push_async_callback(child.stop)
            children.append(child)
        await asyncio.gather(*(child.start() for child in children))
        place = Scene(server, database, served, children)
        await place.open()
        yield place
