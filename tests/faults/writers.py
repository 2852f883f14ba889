"""Who writes: WasenderAPI through webhooks, and the shop's own code through plain SQL."""

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import asyncpg

from tests.faults.ledger import OVER, Ledger
from tests.http.support import key_of, received, secret_of

TRY_S = 4.0
"""How long a webhook waits for its answer before its sender tries again."""

WRITE_S = 8.0
"""How long an insert may take before its connection is taken for lost; longer than any lock here."""

GONE = (
    asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError,
    asyncpg.CannotConnectNowError, OSError,
)  # fmt: skip
"""The connection is no more."""

_ENDED = (asyncpg.AdminShutdownError, asyncpg.CrashShutdownError, asyncpg.ReadOnlySQLTransactionError)

INSERT = (
    "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, message_text, wasender_session_id) "
    "VALUES ($1, $2, $3, $4)"
)
ODD_COLUMNS = "ALTER TABLE whatsapp_incoming_messages ADD COLUMN own jsonb, ADD COLUMN fresh json"
INSERT_ODD = (
    "INSERT INTO whatsapp_incoming_messages "
    "(message_id, from_phone, message_text, wasender_session_id, own, fresh, received_at) "
    "VALUES ($1, $2, $3, $4, $5::text::jsonb, $6::text::json, $7::text::timestamptz)"
)
POISON = (
    ('{"x": 1e400}', "null", "-infinity"),
    ('{"a":' * 2000 + "1" + "}" * 2000, '"\\u0000"', "20000-01-01"),
    ("[1]", "1e1000000", "0044-03-15 BC"),
)
"""Values that cannot be told, for the columns above and the time of receipt."""

_CHANGES = {
    ("UPDATE", False): "row changed by SQL",
    ("UPDATE", True): "row moved between sessions",
    ("DELETE", False): "row deleted by SQL",
}

STATUSES = ("connected", "disconnected", "need_scan")


async def add_session(connection: asyncpg.Connection, number: int) -> None:
    await connection.execute(
        "INSERT INTO whatsapp_sessions (wasender_session_id, name, phone_number, status, api_key, webhook_secret) "
        "VALUES ($1, $2, '+4915100000', 'connected', $3, $4)",
        number, f"Session {number}", key_of(number), secret_of(number),
    )  # fmt: skip


class Sender:
    """WasenderAPI, as far as one session's webhooks go: tries again until it is told 200, for a while."""

    def __init__(self, url: Callable[[], str], http: aiohttp.ClientSession, session: int) -> None:
        self._url = url
        self._http = http
        self.session = session

    async def once(self, body: dict[str, Any]) -> int | None:
        """The answer's status; None if none came."""
        try:
            async with self._http.post(
                f"{self._url()}/api/whatsapp/webhook",
                json={**body, "sessionId": key_of(self.session)},
                headers={"X-Webhook-Signature": secret_of(self.session)},
                timeout=aiohttp.ClientTimeout(total=TRY_S),
            ) as reply:
                await reply.read()
                return reply.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            return None

    async def until_taken(self, body: dict[str, Any], stop: asyncio.Event) -> float | None:
        """When the attempt began that was acknowledged; None when `stop` came first."""
        while True:
            began = time.monotonic()
            status = await self.once(body)
            if status == 200:
                return began
            assert status in (None, 502, 503), status
            if stop.is_set():
                return None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.1)


def message(key: str, text: str = "Hello") -> dict[str, Any]:
    body: dict[str, Any] = received(text, key_id=key)
    return body


def status_report(status: str) -> dict[str, Any]:
    return {"event": "session.status", "timestamp": time.time(), "data": {"status": status}}


async def send_webhooks(
    sender: Sender, ledger: Ledger, dice: random.Random, name: str, stop: asyncio.Event, *, is_ordered: bool
) -> None:
    """Messages one after the other, some of them twice, and a status now and then, until told to stop.

    `is_ordered`: all go to the same gateway, so their order is kept.
    """
    chain = ledger.new_chain() if is_ordered else []
    number = 0
    while not stop.is_set():
        number += 1
        key = f"W{name}-{number}"
        ledger.note(key, "unsure")
        began = await sender.until_taken(message(key, f"{name} {number}"), stop)
        if began is not None:
            ledger.note(key, "kept", began)
            ledger.events["webhook acknowledged"] += 1
            chain.append(key)
            if dice.random() < 0.1:
                ledger.events["webhook sent twice"] += 1
                await sender.once(message(key, f"{name} {number}"))
        if dice.random() < 0.1:
            ledger.events["session.status"] += 1
            await sender.once(status_report(dice.choice(STATUSES)))
        await asyncio.sleep(dice.random() * 0.04)


class ShopWriter:
    """Transactions over several inboxes: held, rolled back, with savepoints; rows moved, changed and deleted.

    `is_odd`: also as a replica, and with values that cannot be told; the table has ODD_COLUMNS.
    """

    def __init__(
        self,
        dsn: Callable[[], str],
        ledger: Ledger,
        dice: random.Random,
        name: str,
        *,
        is_odd: bool = False,
    ) -> None:
        self._is_odd = is_odd
        self._dsn = dsn
        self._ledger = ledger
        self._dice = dice
        self._name = name
        self._number = 0
        self._mine: list[str] = []

    async def write(self, inboxes: range, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                connection = await asyncpg.connect(self._dsn(), timeout=3)
            except (*GONE, TimeoutError, asyncpg.PostgresError):
                await asyncio.sleep(0.05)
                continue
            try:
                while not stop.is_set():
                    await self._transaction(connection, inboxes, stop)
                    await asyncio.sleep(self._dice.random() * 0.05)
            except (*GONE, *_ENDED):
                pass
            except asyncpg.DeadlockDetectedError:
                if not self._ledger.events[OVER]:
                    raise
                self._ledger.events["transaction that met a deadlock with a restore"] += 1
            finally:
                connection.terminate()

    async def _transaction(self, connection: asyncpg.Connection, inboxes: range, stop: asyncio.Event) -> None:
        dice, made, removed = self._dice, set[str](), set[str]()
        transaction = connection.transaction()
        await transaction.start()
        try:
            if self._is_odd and dice.random() < 0.2:
                self._ledger.events["transaction as a replica"] += 1
                await connection.execute("SET LOCAL session_replication_role = replica")
            for _ in range(dice.randint(1, 4)):
                await self._step(connection, dice.choice(inboxes), made, removed)
                if dice.random() < 0.3:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(stop.wait(), dice.random() ** 4 * 1.5)
            if dice.random() < 0.2:
                await transaction.rollback()
                self._ledger.events["transaction rolled back"] += 1
                self._settle(made, "gone")
                return
        except BaseException:
            self._settle(made, "gone")
            raise
        self._settle(made | removed, "unsure")
        began = time.monotonic()
        await transaction.commit()
        self._ledger.events["transaction committed"] += 1
        self._settle(made - removed, "kept", began)
        self._settle(removed, "gone", began)
        self._mine = [*self._mine, *(made - removed)][-20:]
        self._mine = [key for key in self._mine if key not in removed]

    def _settle(self, keys: set[str], fate: Any, began: float | None = None) -> None:
        for key in keys:
            self._ledger.note(key, fate, began)

    async def _step(
        self, connection: asyncpg.Connection, inbox: int, made: set[str], removed: set[str]
    ) -> None:
        dice = self._dice
        turn = dice.random()
        own = [key for key in self._mine if key not in removed]
        if turn < 0.1:
            savepoint = connection.transaction()
            await savepoint.start()
            key = self._new_key()
            self._ledger.note(key, "gone")
            await self._insert(connection, [key], inbox)
            await savepoint.rollback()
        elif turn < 0.25:
            keys = [self._new_key() for _ in range(dice.randint(10, 80))]
            made.update(keys)
            await self._insert(connection, keys, inbox)
        elif turn < 0.4 and own:
            await self._change("UPDATE whatsapp_incoming_messages SET is_read = true", connection, own)
        elif turn < 0.5 and own:
            sql = f"UPDATE whatsapp_incoming_messages SET wasender_session_id = {inbox}"
            await self._change(sql, connection, own)
        elif turn < 0.6 and own:
            removed.add(await self._change("DELETE FROM whatsapp_incoming_messages", connection, own))
        else:
            key = self._new_key()
            made.add(key)
            await self._insert(connection, [key], inbox)

    async def _insert(self, connection: asyncpg.Connection, keys: list[str], inbox: int) -> None:
        more = "x" * self._dice.choice((0, 0, 4000))  # what is long does not fit into anybody's buffers
        rows = [(key, "4915123456789", f"text of {key}{more}", inbox) for key in keys]
        # asyncpg waits for ever where the connection is lost while much is on its way.
        async with asyncio.timeout(WRITE_S):
            if self._is_odd and self._dice.random() < 0.2:
                poison = self._dice.choice(POISON)
                self._ledger.events["row with poison"] += len(rows)
                await connection.executemany(INSERT_ODD, [(*row, *poison) for row in rows])
            else:
                await connection.executemany(INSERT, rows)

    async def _change(self, sql: str, connection: asyncpg.Connection, own: list[str]) -> str:
        key = self._dice.choice(own)
        self._ledger.events[_CHANGES[sql.split()[0], "session" in sql]] += 1
        await connection.execute(f"{sql} WHERE message_id = $1", key)
        return key

    def _new_key(self) -> str:
        self._number += 1
        return f"S{self._name}-{self._number}"
