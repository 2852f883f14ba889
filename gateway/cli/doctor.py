"""`gateway doctor`: looks at everything a gateway depends on, and says what is wrong and what to do.

Each check gives findings of one line. A check that others need (the database, the account token) fails once, and
those others are left out instead of failing with it. Nothing is changed, but for one webhook that is sent through
the public address and noted in the journal.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg
from aiohttp import WSCloseCode

from gateway.cli.actions.simulated import with_simulator
from gateway.cli.console import out
from gateway.cli.database_checks import CHECK_S, Finding, database_findings, guarded, timely
from gateway.domain.errors import ConfigError, GatewayError, UpstreamUnauthorized
from gateway.domain.session import SessionSecrets, UpstreamSession
from gateway.domain.triggers import explain_faults
from gateway.domain.webhook_health import ALL_REFUSED, WEBHOOK_PATH, WebhookFacts, judge_webhook
from gateway.postgres.auth.secret_check import is_the_others
from gateway.postgres.connection.pool import (
    CONNECT_ERRORS,
    address_of,
    connect_direct,
    explain_connect,
    mapped_errors,
    open_pool,
)
from gateway.postgres.migrations.files import read_migrations, sql_folder
from gateway.postgres.sessions.credentials import CredentialTable
from gateway.postgres.sessions.sessions import SessionTable
from gateway.postgres.triggers import read_faults, read_subscribed
from gateway.realtime import close_codes
from gateway.runtime import database
from gateway.runtime.data_dir import data_folder_fault, read_secret
from gateway.services.auth.account_token import AccountToken
from gateway.services.deadlines import Deadline
from gateway.settings import Settings
from gateway.wasender.calls import PATIENT
from gateway.wasender.client import WasenderClient

NOTIFICATION_S = 5.0
REQUEST_S = 10.0
_CLOSE = aiohttp.ClientWSTimeout(ws_close=REQUEST_S / 2)
CLOCK_S = 5.0
"""Logins and rate limits count in seconds; clocks further apart than this refuse what is good."""

MIN_SECRET = 32
OTHER_SECRET = (
    "GATEWAY_SECRET is not the one of the gateways of this database: neither takes the other's logins. Give all of "
    "them the same, or the one before as GATEWAY_SECRET_PREVIOUS."
)
TEST_EVENT = "gateway.doctor"
"""No event of WasenderAPI's: a gateway answers it, keeps a line in its journal, and stores nothing."""

# What a gateway does to each table of the shop.
_RIGHTS = {
    "whatsapp_sessions": "SELECT, INSERT, UPDATE, DELETE",
    "whatsapp_session_logs": "SELECT, INSERT",
    "whatsapp_incoming_messages": "SELECT, INSERT, UPDATE",
    "whatsapp_outgoing_messages": "SELECT, INSERT, UPDATE",
    "integrations": "SELECT, INSERT, UPDATE",
}

_MISSING_RIGHTS = """
SELECT tbl || ' (' || wanted || ')' AS missing
FROM unnest($1::text[], $2::text[]) AS needed(tbl, list),
     LATERAL regexp_split_to_table(list, ', ') AS wanted
WHERE NOT has_table_privilege('public.' || tbl, wanted)
"""


async def report(settings: Settings, wrong: list[Finding]) -> None:
    """Prints every finding, and adds to `wrong` those that are."""
    async with AsyncExitStack() as stack:
        try:
            async for finding in Checkup(settings, stack).findings():
                _say(finding, wrong)
        except (GatewayError, *CONNECT_ERRORS) as error:
            # What the next checks depend on is gone: the last line says so, and the lines before it stand.
            says = error.message if isinstance(error, GatewayError) else " ".join(str(error).split())
            _say(Finding("database", False, f"The rest could not be looked at: {says}"), wrong)


def _say(finding: Finding, wrong: list[Finding]) -> None:
    mark = "ok  " if finding.is_fine else "FAIL"
    out.print(f"{mark}  {finding.subject:<12} {' '.join(finding.says.split())}")
    if not finding.is_fine:
        wrong.append(finding)


class Checkup:
    """One look at everything. What it opens is closed by `stack`."""

    def __init__(self, settings: Settings, stack: AsyncExitStack, budget_s: float = CHECK_S) -> None:
        """`budget_s` is how long Postgres may take for the answer to one check."""
        self._budget_s = budget_s
        self._settings = settings
        self._stack = stack

    async def findings(self) -> AsyncIterator[Finding]:
        """Looks at one thing after another, and ends early where the next ones depend on it."""
        try:
            self._settings = database.locate(self._settings)
            secret = read_secret(self._settings)
            yield self._secret(secret)
            if (says := data_folder_fault(self._settings)) is not None:
                yield Finding("data folder", False, says)
            dsn = await database.find_database(self._settings, self._stack)
            direct = await database.open_direct(self._settings, dsn)
            connection = await self._connect(direct)
        except ConfigError as error:
            yield Finding("database", False, error.message)
            return
        yield await self._guarded(connection, "database", self._notification(connection, direct))
        is_prepared = True
        async for finding in self._of_server(connection):
            is_prepared = is_prepared and (finding.is_fine or finding.subject not in {"server", "schema"})
            yield finding
        if is_prepared:
            async for finding in self._of_what_is_kept(dsn, secret):
                yield finding

    async def _of_server(self, connection: asyncpg.Connection) -> AsyncIterator[Finding]:
        wrong = set()
        async for finding in database_findings(connection, self._budget_s):
            wrong.add(finding.subject)
            yield finding
        if wrong & {"server", "schema"}:
            return
        if await timely(connection, self._budget_s, self._schema_is_missing(connection)):
            yield await self._guarded(connection, "schema", _unprepared(connection))
            return
        yield Finding("schema", True, "Every migration of this version is applied.")
        yield await self._guarded(connection, "rights", self._rights(connection))
        yield await self._guarded(connection, "triggers", self._triggers(connection))
        if (filled := await timely(connection, self._budget_s, self._subscriptions(connection))) is not None:
            yield filled
        yield await self._guarded(connection, "clock", clock_finding(connection))

    async def _guarded(
        self, connection: asyncpg.Connection, subject: str, check: Awaitable[Finding]
    ) -> Finding:
        return await guarded(subject, timely(connection, self._budget_s, check))

    async def _of_what_is_kept(self, dsn: str, secret: str) -> AsyncIterator[Finding]:
        pool = await open_pool(
            dsn, timezone=self._settings.timezone, pooled=database.is_pooled(self._settings, dsn)
        )
        self._stack.push_async_callback(database.close_pool, pool)
        previous = self._settings.secret_previous
        if not await is_the_others(pool, secret, previous):
            yield Finding("secret", False, OTHER_SECRET)
        vault = await database.open_vault(pool, secret, previous)
        sealed = await guarded("secret", _what_is_sealed(SessionTable(pool, vault)))
        if not sealed.is_fine:
            yield sealed
            return
        async for finding in self._upstream(CredentialTable(pool, vault), SessionTable(pool, vault)):
            yield finding

    # ------------------------------------------------------------------------------------------ here

    def _secret(self, secret: str) -> Finding:
        if len(secret) < MIN_SECRET:
            says = f"GATEWAY_SECRET of {len(secret)} characters can be guessed: make one with `openssl rand -hex 32`."
            return Finding("secret", False, says)
        return Finding("secret", True, "Logins are signed with a secret that is long enough.")

    # ------------------------------------------------------------------------------------------ Postgres

    async def _connect(self, dsn: str) -> asyncpg.Connection:
        try:
            connection = await connect_direct(dsn, timezone=self._settings.timezone)
        except CONNECT_ERRORS as error:
            raise ConfigError(explain_connect(dsn, error)) from None
        self._stack.push_async_callback(connection.close, timeout=5)
        return connection

    async def _notification(self, connection: asyncpg.Connection, dsn: str) -> Finding:
        heard = asyncio.Event()
        where = address_of(dsn)
        started = time.monotonic()
        await connection.fetchval("SELECT 1")  # a server that is silent altogether is no pooler
        try:
            async with Deadline(connection, NOTIFICATION_S):
                await connection.add_listener("gateway_doctor", lambda *_: heard.set())
                await connection.execute("SELECT pg_notify('gateway_doctor', '')")
                await heard.wait()
        except TimeoutError:
            return Finding(
                "database", False,
                f"Postgres at {where} answers, but NOTIFY does not come back: a pooler stands before it. "
                "Set GATEWAY_LISTEN_URL to the direct host.",
            )  # fmt: skip
        except CONNECT_ERRORS as error:
            return Finding("database", False, f"Postgres at {where} refuses LISTEN ({error}).")
        ms = (time.monotonic() - started) * 1000
        return Finding(
            "database", True, f"Postgres at {where} answers, and a notification came back after {ms:.0f} ms."
        )

    async def _schema_is_missing(self, connection: asyncpg.Connection) -> bool:
        if await connection.fetchval("SELECT to_regclass('gateway.migrations')") is None:
            return True
        rows = await connection.fetch("SELECT name FROM gateway.migrations")
        return not {item.name for item in read_migrations(sql_folder())} <= {row["name"] for row in rows}

    async def _rights(self, connection: asyncpg.Connection) -> Finding:
        with mapped_errors():
            rows = await connection.fetch(_MISSING_RIGHTS, list(_RIGHTS), list(_RIGHTS.values()))
        if rows:
            missing = ", ".join(row["missing"] for row in rows)
            return Finding("rights", False, f"The database user lacks rights on {missing}. Grant them.")
        return Finding("rights", True, "The database user may do everything a gateway does.")

    async def _triggers(self, connection: asyncpg.Connection) -> Finding:
        with mapped_errors():
            says = explain_faults(await read_faults(connection))
        return Finding(
            "triggers", says is None, says or "Every trigger that tells of changes is there and enabled."
        )

    async def _subscriptions(self, connection: asyncpg.Connection) -> Finding | None:
        with mapped_errors():
            tables = await read_subscribed(connection, [f"public.{name}" for name in _RIGHTS])
        if not tables:
            return None
        says = (
            f"A logical subscription fills {', '.join(tables)}: Postgres fires only row triggers for it, so what it "
            "writes is not told to browsers. Run the gateway on the publishing database."
        )
        return Finding("replication", False, says)

    # ------------------------------------------------------------------------------------------ WasenderAPI

    async def _upstream(self, credentials: CredentialTable, table: SessionTable) -> AsyncIterator[Finding]:
        try:
            self._settings = with_simulator(self._settings)
        except ConfigError:
            yield Finding(
                "token", True, "The simulator stands in for WasenderAPI, and its gateway does not run now."
            )
            return
        account = AccountToken(self._settings.wasender_token, credentials)
        try:
            async with WasenderClient(self._settings.wasender_base_url, account) as impatient:
                client = impatient.with_retry_policy(PATIENT)
                sessions = await client.list_sessions()
                yield Finding(
                    "token", True, f"WasenderAPI takes the account token; it has {len(sessions)} sessions."
                )
                for session in sessions:
                    yield await self._webhook(await client.get_session(session.id), table)
        except UpstreamUnauthorized as error:
            yield Finding("token", False, await self._why_refused(account, error))
        except GatewayError as error:
            yield Finding("token", False, error.message)
        async for finding in self._public_address(table):
            yield finding

    async def _why_refused(self, account: AccountToken, error: UpstreamUnauthorized) -> str:
        """A session's API key looks like an account token, and is the usual mistake."""
        try:
            token = await account()
            async with WasenderClient(self._settings.wasender_base_url, account) as client:
                await client.get_status(token)
        except GatewayError:
            return (
                f"{error.message} Make another in WasenderAPI's settings, and set it as WASENDER_TOKEN, or store it "
                "with `gateway integrations set wasender`."
            )
        return (
            "The token is the API key of a session, not the account's personal access token: make one in "
            "WasenderAPI's settings, and store it with `gateway integrations set wasender`."
        )

    async def _webhook(self, upstream: UpstreamSession, table: SessionTable) -> Finding:
        subject = f"session {upstream.id}"
        public_url = self._settings.public_url
        if public_url is None:
            return Finding(
                subject, False, "Where its webhook should go is not known: set GATEWAY_PUBLIC_URL."
            )
        facts = WebhookFacts(
            url=upstream.webhook_url,
            is_enabled=upstream.webhook_enabled,
            events=upstream.webhook_events,
            has_secret=bool(upstream.webhook_secret),
            seen_at=None,
            missed_at=None,
        )
        state, note = judge_webhook(facts, public_url, time.time())
        if state != "ok":
            return Finding(subject, False, note)
        stored = await table.secrets(int(upstream.id))
        if stored is None or stored.webhook_secret != upstream.webhook_secret:
            return Finding(
                subject, False, "Its webhook secret is not the one stored here: run `gateway sync`."
            )
        refused = await table.refused_webhooks(int(upstream.id))
        if refused >= ALL_REFUSED:
            return Finding(
                subject, False,
                f"Its last {refused} webhooks were refused, and none was taken: its secret changed upstream. Press "
                "Repair on the page (`POST …/repair-webhook`), which reads it again.",
            )  # fmt: skip
        return Finding(subject, True, "Its webhook comes here, with the events and the secret it needs.")

    # ------------------------------------------------------------------------------------------ from outside

    async def _public_address(self, table: SessionTable) -> AsyncIterator[Finding]:
        public_url = self._settings.public_url
        if public_url is None:
            yield Finding(
                "address", False, "WasenderAPI cannot be told where to send webhooks: set GATEWAY_PUBLIC_URL."
            )
            return
        secrets = [await table.secrets(number) for number in sorted(await table.known_ids())]
        known = next((item for item in secrets if item is not None and item.webhook_secret), None)
        timeout = aiohttp.ClientTimeout(total=REQUEST_S)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as http:
                async with http.get(f"{public_url}/healthz") as alive:
                    said = await _json(alive)
                    is_ours = alive.status == 200 and "version" in said
                if not is_ours:
                    why = f" It says: {said['error']}" if isinstance(said.get("error"), str) else ""
                    yield Finding(
                        "address", False, f"{public_url} answers, but not as a gateway: check the proxy.{why}"
                    )
                    return
                yield Finding("address", True, f"A gateway answers at {public_url}.")
                if "proxy" in said:
                    yield _proxy(said["proxy"] == "trusted")
                yield await _try_websocket(http, public_url)
                if known is not None:
                    yield await _send_test(http, public_url, known)
        except (aiohttp.ClientError, TimeoutError) as error:
            yield Finding("address", False, f"{public_url} cannot be reached from here: {_why(error)}.")


async def clock_finding(connection: asyncpg.Connection) -> Finding:
    """Whether this machine and Postgres agree on the time."""
    here = datetime.now(UTC)
    apart_s = abs((await connection.fetchval("SELECT clock_timestamp()") - here).total_seconds())
    if apart_s > CLOCK_S:
        says = (
            f"This machine's clock and Postgres' are {apart_s:.0f} s apart: switch time synchronisation on."
        )
        return Finding("clock", False, says)
    return Finding("clock", True, f"This machine's clock and Postgres' are {apart_s:.1f} s apart.")


_PLACE = """
SELECT current_database() AS name, to_regclass('gateway.migrations') IS NULL AS is_new,
    to_regclass('public.whatsapp_sessions') IS NULL AS is_without_shop
"""


async def _unprepared(connection: asyncpg.Connection) -> Finding:
    """Which database it is: that of another name is prepared perhaps, and this one was never meant."""
    place = await connection.fetchrow(_PLACE)
    assert place is not None
    says = "The database is not prepared for this version: run `gateway migrate`."
    if place["is_new"]:
        has = "neither the shop's tables nor the gateway's" if place["is_without_shop"] else "no gateway yet"
        says += f" The database {place['name']} has {has}: is it the one that is meant? If not, correct DATABASE_URL."
    return Finding("schema", False, says)


async def _what_is_sealed(table: SessionTable) -> Finding:
    await table.all_secrets()  # ConfigError, with what to do, where one was sealed with another secret
    return Finding("secret", True, "Stored secrets can be opened.")


async def _try_websocket(http: aiohttp.ClientSession, public_url: str) -> Finding:
    """One handshake through every proxy on the way, as the page makes it.

    The gateway accepts every one, and closes it at once where its `Host` is none of ours: the code says so.
    """
    wrong_host = Finding(
        "websocket", False,
        "The proxy passes another name on than the public address has: let it pass the `Host` on.",
    )  # fmt: skip
    parts = urlsplit(public_url)
    own_page = {"Origin": f"{parts.scheme}://{parts.netloc}"}
    try:
        async with http.ws_connect(f"{public_url}/ws", headers=own_page, timeout=_CLOSE) as socket:
            await socket.close()
            if socket.close_code in (None, WSCloseCode.ABNORMAL_CLOSURE):
                return Finding(
                    "websocket", False,
                    "A WebSocket opened through the public address, and nothing came through it: let the proxy pass "
                    "on at once what the gateway writes.",
                )  # fmt: skip
            if socket.close_code == close_codes.FORBIDDEN:
                return wrong_host
            return Finding("websocket", True, "A WebSocket opened through the public address.")
    except aiohttp.WSServerHandshakeError as error:
        if error.status == 421:
            return wrong_host
        return Finding(
            "websocket", False,
            f"A WebSocket through the public address was refused with status {error.status}: let the proxy speak "
            "HTTP/1.1 to the gateway, and pass `Upgrade` and `Connection` on.",
        )  # fmt: skip


def _why(error: Exception) -> str:
    match error:
        case TimeoutError():
            return f"no answer within {REQUEST_S:.0f} s"
        case aiohttp.ClientConnectorDNSError():
            return "its name is not known"
        case aiohttp.ClientSSLError():
            return "its certificate is not accepted"
        case aiohttp.ClientConnectorError():
            return "nothing listens there"
        case _:
            return f"the connection broke ({type(error).__name__})"


def _proxy(is_named: bool) -> Finding:
    if is_named:
        return Finding("proxy", True, "The proxy before the gateway is named: its clients are told apart.")
    return Finding(
        "proxy", False, "The proxy before the gateway is not named, so all its clients count as one address: "
        "name it in GATEWAY_TRUSTED_PROXIES.",
    )  # fmt: skip


async def _send_test(http: aiohttp.ClientSession, public_url: str, known: SessionSecrets) -> Finding:
    """One webhook as WasenderAPI would send it, through every proxy on the way."""
    async with http.post(
        f"{public_url}{WEBHOOK_PATH}/{known.id}",
        json={"event": TEST_EVENT},
        headers={"X-Webhook-Signature": known.webhook_secret or ""},
    ) as reply:
        if reply.status == 200 and (await _json(reply)).get("received") is True:
            return Finding("webhook", True, "A test webhook went through the public address and was taken.")
        why = (await _json(reply)).get("error") or f"status {reply.status}"
        return Finding("webhook", False, f"A test webhook through the public address was refused: {why}")


async def _json(reply: aiohttp.ClientResponse) -> dict[str, Any]:
    try:
        body = await reply.json(content_type=None)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
