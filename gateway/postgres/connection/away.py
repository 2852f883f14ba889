"""Why Postgres takes nothing, in words for people."""

import socket

import asyncpg

from gateway.postgres.connection.pool import passing_reason


def why_away(error: BaseException) -> str:
    """Why Postgres takes nothing and what to do, for those who may not be told where it is: half a sentence."""
    state = getattr(error, "sqlstate", None) or ""
    if state == "25006":
        return "it is read-only, as a standby is, or a server whose default_transaction_read_only is on"
    if state == "53300":
        return "it has no connection left for us: raise max_connections, or close others"
    if state.startswith("28"):
        return "it does not accept our user and password"
    if (reason := passing_reason(state)) is not None:
        return reason
    if isinstance(error, socket.gaierror | UnicodeError):
        return "its host is not known"
    if isinstance(error, ConnectionRefusedError | FileNotFoundError):
        return "nothing listens at its address"
    if isinstance(error, TimeoutError):
        return "it does not answer"
    return "the connection to it broke"


async def read_only_fault(connection: asyncpg.Connection) -> str | None:
    """Why this server takes no writes, and what to do; None if it does."""
    if await connection.fetchval("SELECT pg_is_in_recovery()"):
        return "This server is a read-only standby: set DATABASE_URL to the primary."
    if await connection.fetchval("SHOW transaction_read_only") == "on":
        return (
            "This server takes no writes, because default_transaction_read_only is on (providers switch it on when a "
            "disk is full): switch it off, or set DATABASE_URL to the primary."
        )
    return None
