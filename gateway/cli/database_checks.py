"""What `gateway doctor` asks of Postgres itself: the server, its limits, and what they mean for this role.

A check gives a finding only for what is wrong. None needs a table of the gateway, nor any right but to connect.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import asyncpg

from gateway.domain.errors import GatewayError
from gateway.postgres.connection.away import read_only_fault
from gateway.postgres.connection.pool import CONNECT_ERRORS, mapped_errors
from gateway.postgres.migrations.runner import OLDEST_SERVER
from gateway.services.deadlines import Deadline

CHECK_S = 10.0
"""For one check: a Postgres that says nothing any more must not hold the command up."""

PER_PROCESS = 17
"""Connections that one process of a gateway may use."""

TABLES = (
    "whatsapp_sessions", "whatsapp_session_logs", "whatsapp_incoming_messages", "whatsapp_outgoing_messages",
    "integrations",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Finding:
    """What is so, or wrong, with one thing the gateway depends on, in a sentence."""

    subject: str
    is_fine: bool
    says: str


T = TypeVar("T")

Check = Callable[[asyncpg.Connection], Awaitable[str | None]]


async def guarded(subject: str, check: Awaitable[Finding]) -> Finding:
    """The check's finding, or one that says why it could not be made. Never raises what Postgres raises."""
    try:
        with mapped_errors():
            return await check
    except GatewayError as error:
        return Finding(subject, False, f"This could not be looked at: {' '.join(error.message.split())}")
    except CONNECT_ERRORS as error:
        return Finding(subject, False, f"This could not be looked at: {' '.join(str(error).split())}.")


async def timely(connection: asyncpg.Connection, budget_s: float, check: Awaitable[T]) -> T:
    """What the check has found; a connection that is silent for longer is broken, for the checks after it, too."""
    try:
        async with Deadline(connection, budget_s):
            return await check
    except TimeoutError:
        connection.terminate()
        raise


async def database_findings(
    connection: asyncpg.Connection, budget_s: float = CHECK_S
) -> AsyncIterator[Finding]:
    """Everything that is wrong with the server, for this role."""
    for subject, check in _CHECKS.items():
        finding = await guarded(subject, timely(connection, budget_s, _judged(subject, check, connection)))
        if not finding.is_fine:
            yield finding


async def _judged(subject: str, check: Check, connection: asyncpg.Connection) -> Finding:
    says = await check(connection)
    return Finding(subject, says is None, says or "")


async def _server(connection: asyncpg.Connection) -> str | None:
    version = int(await connection.fetchval("SELECT current_setting('server_version_num')"))
    if version < OLDEST_SERVER:
        return (
            f"This is PostgreSQL {version // 10000}, and the gateway needs {OLDEST_SERVER // 10000} or newer: "
            "upgrade it, or use another server."
        )
    return await read_only_fault(connection)


_SCHEMA = """
SELECT current_user AS me, n.nspowner::regrole::text AS owner, has_schema_privilege(n.oid, 'USAGE') AS may_use,
    coalesce(has_table_privilege(c.oid, 'SELECT'), true) AS may_read
FROM pg_namespace n LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'migrations'
WHERE n.nspname = 'gateway'
"""


async def _schema(connection: asyncpg.Connection) -> str | None:
    row = await connection.fetchrow(_SCHEMA)
    if row is None or (row["may_use"] and row["may_read"]):
        return None
    return (
        f"The schema gateway belongs to the role {row['owner']}, and the database user {row['me']} may not read it: "
        f"use {row['owner']} in DATABASE_URL, or GRANT {row['owner']} TO {row['me']}."
    )


# A policy that lets everything through is no obstacle.
_HIDDEN = """
SELECT c.oid::regclass::text AS tbl, c.relforcerowsecurity AND pg_has_role(c.relowner, 'USAGE') AS is_forced,
    current_user AS me
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND (n.nspname = 'public' AND c.relname = ANY($1) OR n.nspname = 'gateway')
  AND row_security_active(c.oid)
  AND NOT EXISTS (
    SELECT FROM pg_policy p
    WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd = '*' AND pg_get_expr(p.polqual, p.polrelid) = 'true'
      AND EXISTS (SELECT FROM unnest(p.polroles) AS r WHERE r = 0 OR pg_has_role(r, 'USAGE')))
ORDER BY 1
"""


async def _row_security(connection: asyncpg.Connection) -> str | None:
    rows = await connection.fetch(_HIDDEN, list(TABLES))
    if not rows:
        return None
    tables, me = ", ".join(row["tbl"] for row in rows), rows[0]["me"]
    forced = " It is forced, so it holds for the owner, too." if any(row["is_forced"] for row in rows) else ""
    return (
        f"Row level security hides rows of {tables} from the database user {me}.{forced} Give {me} the attribute "
        "BYPASSRLS, or a policy on each table that lets everything through: USING (true) WITH CHECK (true)."
    )


async def _replication_role(connection: asyncpg.Connection) -> str | None:
    role = await connection.fetchval("SELECT current_setting('session_replication_role')")
    if role == "origin":
        return None
    return (
        f"session_replication_role is {role} for this role: the shop's own triggers and foreign keys do not fire for "
        "what the gateway writes. Reset it for the role."
    )


_LEAST_MS = {
    "statement_timeout": 30_000,
    "transaction_timeout": 30_000,
    "idle_in_transaction_session_timeout": 5_000,
    "idle_session_timeout": 300_000,
    "lock_timeout": 2_000,
}
"""What the gateway's own deadlines need; below it Postgres ends what is in order. 0 is no limit."""


async def _timeouts(connection: asyncpg.Connection) -> str | None:
    rows = await connection.fetch(
        "SELECT name, setting::bigint AS ms FROM pg_settings WHERE name = ANY($1) ORDER BY name",
        list(_LEAST_MS),
    )
    short = [row for row in rows if 0 < row["ms"] < _LEAST_MS[row["name"]]]
    if not short:
        return None
    said = ", ".join(
        f"{row['name']} = {row['ms']} ms (at least {_LEAST_MS[row['name']]} ms, or 0)" for row in short
    )
    return f"Time-outs of this role end what is in order: {said}. Raise them for the role."


_ROOM = """
SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0) AS most,
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used,
    (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'whatsapp-gateway-listener') AS gateways,
    (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS of_role,
    (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS of_database
"""


async def connections_fault(connection: asyncpg.Connection) -> str | None:
    """Why a process of the gateway would not find its connections, and what to do; None if it would."""
    row = await connection.fetchrow(_ROOM)
    assert row is not None
    for limit, name in ((row["of_role"], "This role"), (row["of_database"], "This database")):
        if 0 <= limit < PER_PROCESS:
            return (
                f"{name} may have {limit} connections, and a process of the gateway uses up to {PER_PROCESS}: "
                "raise its CONNECTION LIMIT."
            )
    free = row["most"] - row["used"]
    if row["gateways"] or free >= PER_PROCESS:
        return None
    return (
        f"{row['used']} of {row['most']} connections are in use, and a gateway's process uses up to {PER_PROCESS}: "
        "raise max_connections, or put a pooler before the shop's programs."
    )


_LANGUAGE = """
SELECT coalesce((SELECT has_language_privilege(oid, 'USAGE') FROM pg_language WHERE lanname = 'plpgsql'), false)
"""


async def _extensions(connection: asyncpg.Connection) -> str | None:
    if await connection.fetchval(_LANGUAGE):
        return None
    return (
        "The database user may not use the language plpgsql, in which the gateway's triggers are written: let an "
        "owner of the database run CREATE EXTENSION plpgsql, or GRANT USAGE ON LANGUAGE plpgsql TO the user. No other "
        "extension is needed."
    )


_CHECKS: dict[str, Check] = {
    "server": _server,
    "schema": _schema,
    "row security": _row_security,
    "triggers": _replication_role,
    "time-outs": _timeouts,
    "connections": connections_fault,
    "extensions": _extensions,
}
