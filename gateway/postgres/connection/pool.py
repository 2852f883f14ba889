"""Connections to Postgres, and what its errors mean for the rest of the house.

Addresses are cleaned before use: hosts hand out DSNs with parameters that only libpq or an ORM understands
(`channel_binding`, `pgbouncer`), and asyncpg would send them to the server as settings, which refuses them.
"""

import asyncio
import contextlib
import logging
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import asyncpg
import orjson

from gateway.domain.errors import ConfigError, DatabaseAway, RowRefused, StoreUnavailable, StoreUnprepared
from gateway.postgres.connection import values
from gateway.postgres.connection.growth import Borrowers
from gateway.services.deadlines import CANCEL_S, Breakable, Deadline

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
"""Deadline of a new connection, with all that is said on it before it is used."""

LOAN_S = 30.0
"""How long a connection of a pool is lent for, if the borrower names no other time."""

GROW_AFTER_S = 0.02
"""How long borrowers may wait for connections to come back, in all, before a pool opens more: about what that costs."""

READ_S = 5.0
"""Deadline of the reads that browsers wait for: what has been pushed to them is as old as these are late."""

_NOT_FOR_SERVERS = {
    "channel_binding", "connect_timeout", "connection_limit", "fallback_application_name", "gssencmode",
    "keepalives", "keepalives_count", "keepalives_idle", "keepalives_interval", "load_balance_hosts",
    "pgbouncer", "pool", "pool_timeout", "require_auth", "requirepeer", "schema", "sslcertmode",
    "sslcompression", "sslsni", "supa", "tcp_user_timeout", "workaround",
}  # fmt: skip

# The other end is dead when it has not answered for 10 + 3 × 3 seconds, or for 20 with data on the way.
_KEEPALIVE_IDLE_S = 10
_KEEPALIVE_INTERVAL_S = 3
_KEEPALIVE_COUNT = 3
_USER_TIMEOUT_MS = 20_000
_KEEPALIVE = (_KEEPALIVE_IDLE_S, _KEEPALIVE_INTERVAL_S, _KEEPALIVE_COUNT, _USER_TIMEOUT_MS)

_SERVER_KEEPALIVE_SQL = """
SELECT set_config('tcp_keepalives_idle', $1, false), set_config('tcp_keepalives_interval', $2, false),
    set_config('tcp_keepalives_count', $3, false), set_config('tcp_user_timeout', $4, false)
"""


def clean_dsn(dsn: str) -> str:
    """The address without parameters that are not for servers. Raises ConfigError if it is no address."""
    scheme, colon, rest = dsn.strip().partition("://")
    if not colon or scheme not in ("postgresql", "postgres"):
        raise ConfigError(
            "DATABASE_URL is not an address of Postgres: it must look like postgresql://user:password@host:5432/name."
        )
    # Only the query is touched: taking the rest apart could change a password with odd characters in it.
    before, mark, query = rest.partition("?")
    kept = [
        (key, value) for key, value in parse_qsl(query, keep_blank_values=True) if key not in _NOT_FOR_SERVERS
    ]
    return f"{scheme}://{before}" + (f"?{urlencode(kept, quote_via=quote)}" if mark and kept else "")


def address_of(dsn: str) -> str:
    """Host and port of an address, for people: never the user, never the password."""
    try:
        parts = urlsplit(dsn)
        query = dict(parse_qsl(parts.query))
        host = unquote(parts.netloc.rpartition("@")[2]) or query.get("host", "localhost")
        return host if ":" in host or host.startswith("/") else f"{host}:{query.get('port', 5432)}"
    except ValueError:
        return "the address"


class Pool(asyncpg.Pool):
    """Lends its connections for a time: `async with pool.acquire(timeout=5)` has ended five seconds later.

    So have `fetch` and its kin, which borrow one. The time includes the wait for a connection that is free, or new.
    Raises TimeoutError; a connection that has not answered by then is broken, and another one takes its place.
    """

    loan_s = LOAN_S

    def __init__(self, *arguments: Any, grow_after_s: float = GROW_AFTER_S, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._borrowers = Borrowers(grow_after_s)

    def acquire(self, *, timeout: float | None = None) -> "_Loan":  # type: ignore[override]
        """A connection, for `timeout` seconds in all; for `loan_s` without it."""
        return _Loan(self, self.loan_s if timeout is None else timeout)

    async def borrow(self) -> Any:
        """A connection, without a deadline: a free one; or one that comes back soon; or else a new one.

        The driver itself opens a new one for each borrower that meets no free one: ten that ask at once are ten logins,
        for statements that one connection answers in the time of the first.
        """
        is_free = self.get_idle_size() > len(self._borrowers)
        if not is_free and 0 < self.get_size() < self.get_max_size():
            await self._borrowers.wait()
        return await super().acquire()

    async def release(self, connection: Any, *, timeout: float | None = None) -> None:
        """Takes a connection back, for the borrower that waits longest."""
        try:
            await super().release(connection, timeout=timeout)
        finally:
            self._borrowers.one_is_back()


class _Loan:
    """One use of a connection of the pool."""

    __slots__ = ("_budget_s", "_connection", "_deadline", "_pool")

    def __init__(self, pool: Pool, budget_s: float) -> None:
        self._pool = pool
        self._budget_s = budget_s
        self._connection: Any = None
        self._deadline: Deadline

    async def __aenter__(self) -> Any:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._budget_s
        # Nothing here outlives its cancellation: `prepare` breaks a connection that is cancelled in it.
        async with asyncio.timeout_at(ends_at):
            self._connection = await self._pool.borrow()
        self._deadline = Deadline(self, ends_at - loop.time())
        await self._deadline.__aenter__()
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        left_s = self._deadline.left_s
        try:
            await self._deadline.__aexit__(kind, error, trace)
        finally:
            if error is None:
                await self._pool.release(self._connection, timeout=left_s)
            else:
                await self._give_back_after(error, left_s)

    async def _give_back_after(self, error: BaseException, left_s: float) -> None:
        is_cut_off = isinstance(error, asyncio.CancelledError | TimeoutError)
        if is_cut_off:
            left_s = min(left_s, CANCEL_S)
        try:
            await end_implicit_transaction(self._connection, left_s, self)
        finally:
            # The driver waits for the server's answer to a cancellation, also where a statement had less time than its
            # loan. One that does not come ends the connection, and must not hide what came before.
            with contextlib.suppress(Exception) if is_cut_off else contextlib.nullcontext():
                await self._pool.release(self._connection, timeout=left_s)

    def terminate(self) -> None:
        """Breaks the connection, if it has not broken by itself."""
        with contextlib.suppress(asyncpg.InterfaceError):
            self._connection.terminate()


async def end_implicit_transaction(connection: Any, within_s: float, breaks: Breakable) -> None:
    """Lets the server end what it began when it planned a statement that was not executed.

    asyncpg has a statement planned with a Flush, and sends the Sync only with its execution. What is cancelled, or
    fails, in between leaves the server within an implicit transaction, which asyncpg does not know of: no notification
    is brought meanwhile, and the next one to use the connection could begin no transaction of its own. Any simple
    query ends it. `breaks` is what is broken if the server does not answer to that.
    """
    try:
        async with Deadline(breaks, within_s):
            await connection.execute("SELECT")
    except TimeoutError:
        breaks.terminate()
    except asyncio.CancelledError:
        breaks.terminate()
        raise
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, asyncpg.PostgresError, OSError):
        pass  # it is broken, or the driver is cancelling a statement: whatever is next waits for that


async def open_pool(
    dsn: str,
    *,
    timezone: str,
    max_size: int = 10,
    pooled: bool,
    loan_s: float = LOAN_S,
    grow_after_s: float = GROW_AFTER_S,
) -> Pool:
    """A pool of which one connection is open already; the caller closes it.

    `timezone` is how naive timestamps of the shop are read and shown. Raises ConfigError when Postgres
    cannot be reached: one sentence with host, reason and what to do.
    """
    pool = Pool(
        clean_dsn(dsn),
        min_size=1,
        max_size=max_size,
        max_queries=50_000,
        max_inactive_connection_lifetime=300.0,
        connection_class=asyncpg.Connection,
        record_class=asyncpg.Record,
        loop=None,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=loan_s,
        server_settings=_settings(timezone, "whatsapp-gateway"),
        init=prepare,
        reset=_leave_as_it_is,
        # Behind a transaction pooler the next statement may meet another server connection.
        statement_cache_size=0 if pooled else 200,
        grow_after_s=grow_after_s,
    )
    pool.loan_s = loan_s
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S + 5):
            await pool
    except CONNECT_ERRORS as error:
        raise connect_fault(dsn, error) from None
    return pool


def borrowed(pool: asyncpg.Pool, within_s: float = READ_S) -> Any:
    """A connection for a short read. Raises TimeoutError; the connection is broken then, if it does not answer."""
    return pool.acquire(timeout=within_s)


async def connect_direct(
    dsn: str, *, timezone: str = "UTC", name: str = "whatsapp-gateway", connect_s: float = CONNECT_TIMEOUT_S
) -> asyncpg.Connection:
    """One connection of its own, for LISTEN, leases and migrations; the caller closes it.

    `connect_s` is the budget for login and preparation together.
    Raises whatever asyncpg raises (`CONNECT_ERRORS`): a listener tries again, a command explains and ends.
    """
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + connect_s
    connection = await asyncpg.connect(
        clean_dsn(dsn),
        timeout=connect_s,
        command_timeout=None,
        server_settings=_settings(timezone, name),
    )
    try:
        async with Deadline(connection, ends_at - loop.time()):  # asyncpg's own limit covers only the login
            await prepare(connection)
            # The server's side too: a gateway that vanished would keep its leases and hold back the notify queue.
            # Asked for afterwards: proxies in front of Postgres refuse unknown settings at the start.
            await connection.execute(_SERVER_KEEPALIVE_SQL, *map(str, _KEEPALIVE))
    except BaseException:
        connection.terminate()
        raise
    return connection


async def _leave_as_it_is(connection: Any) -> None:
    """What a connection goes back to the pool with. The driver has rolled back what was open, and we set nothing
    beyond a transaction: its usual RESET ALL would be one more round trip after every statement."""


def _settings(timezone: str, name: str) -> dict[str, str]:
    # PgBouncer refuses a connection that asks at the start for settings it does not know; these it knows.
    return {"timezone": timezone, "application_name": name}


async def prepare(connection: Any) -> None:
    """Teaches a new connection our JSON, and its socket to notice a dead peer. One that does not learn is broken."""
    try:
        await _teach(connection)
    except BaseException:
        connection.terminate()  # the pool would take its leave of it, and wait for an answer
        raise


async def _teach(connection: Any) -> None:
    keep_alive(connection)
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_encode_jsonb, decoder=_decode_jsonb, format="binary"
    )
    await connection.set_type_codec(
        "json", schema="pg_catalog", encoder=_encode_json, decoder=_decode_json_text, format="text"
    )
    await connection.set_type_codec(
        "timestamptz",
        schema="pg_catalog",
        encoder=values.encode_moment,
        decoder=values.decode_moment,
        format="tuple",
    )
    await connection.set_type_codec(
        "timestamp",
        schema="pg_catalog",
        encoder=values.encode_naive,
        decoder=values.decode_naive,
        format="tuple",
    )


def _encode_json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _encode_jsonb(value: Any) -> bytes:
    return b"\x01" + orjson.dumps(value)  # jsonb's binary form: a version byte, then the text


def _decode_jsonb(value: bytes) -> Any:
    return values.decode_json(value[1:])


def _decode_json_text(value: str) -> Any:
    # Half a surrogate pair stands there only as an escape.
    return values.decode_json(value.encode("utf-8"))


def keep_alive(connection: Any) -> None:
    """TCP keepalive on our side; asyncpg sets none, and a silent peer would look alive for hours."""
    transport = getattr(connection, "_transport", None)
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", _KEEPALIVE_IDLE_S),
        ("TCP_KEEPALIVE", _KEEPALIVE_IDLE_S),  # macOS' name for it
        ("TCP_KEEPINTVL", _KEEPALIVE_INTERVAL_S),
        ("TCP_KEEPCNT", _KEEPALIVE_COUNT),
        ("TCP_USER_TIMEOUT", _USER_TIMEOUT_MS),
    ):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


# ---------------------------------------------------------------------------------------------- errors

CONNECT_ERRORS = (
    UnicodeError,  # a host that is no name: `a..b`
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
"""What connecting can raise."""

_PASSING_CLASSES = {
    "08": "the connection broke",
    "28": "it does not let us in",
    "40": "another transaction was in the way",
    "53": "it is out of resources",
    "57": "it is restarting or ended the connection",
    "58": "it has trouble with its machine",
}
_PASSING_STATES = {
    "25006": "it is read-only",
    # While a backup is brought back: no database, or one that takes no connection.
    "3D000": "the database is not there",
    "55000": "it is not ready for that",
    "25P03": "the connection was idle for too long",
    "55P03": "a lock was not to be had in time",
}
# A plan of a connection that lived through a restore over the same tables: it is made anew the next time.
_MADE_ANEW = re.compile(r"cache lookup failed|could not open relation with OID")
_DATA_CLASSES = {"22", "23", "44"}
_DATA_STATES = {"54000", "P0001"}  # too large for an index; refused by a trigger of the shop


def passing_reason(state: str) -> str | None:
    """What an SQLSTATE says of a trouble that passes; None of any other."""
    return _PASSING_STATES.get(state) or _PASSING_CLASSES.get(state[:2])


@contextlib.contextmanager
def mapped_errors() -> Iterator[None]:
    """Turns what asyncpg raises into the errors of the domain.

    StoreUnavailable: later it may work. RowRefused: the data itself. StoreUnprepared: rights or schema are
    missing. Anything else is a bug and passes through.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        raise _meaning(error) from error
    except (asyncpg.exceptions._base.DataError, UnicodeEncodeError) as error:
        raise RowRefused(f"Postgres cannot hold this value: {error}") from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError) as error:
        raise StoreUnavailable("Postgres cannot be reached at the moment.") from error


def _meaning(error: asyncpg.PostgresError) -> Exception:
    state = error.sqlstate or ""
    if (reason := passing_reason(state)) is not None:
        return StoreUnavailable(f"Postgres cannot do this at the moment: {reason}.")
    if isinstance(error, asyncpg.InvalidCachedStatementError) or _MADE_ANEW.match(str(error)):
        return StoreUnavailable("Postgres cannot do this at the moment: its tables have just been made anew.")
    if state[:2] in _DATA_CLASSES or state in _DATA_STATES:
        return RowRefused(f"Postgres refuses this row: {error}", details={"sqlstate": state})
    if state == "42501":
        return StoreUnprepared(f"The database user lacks a right: {error}. Grant it, then start again.")
    if state in ("42P01", "42703", "42883", "3F000"):
        return StoreUnprepared(
            f"The database is not prepared for this version ({error}): run `gateway migrate`."
        )
    return error


def quieten_lost_connections(loop: asyncio.AbstractEventLoop) -> None:
    """Returns at once; from now on a connection that breaks while it is given back is not reported.

    asyncpg gives a connection back in a task of its own. If that breaks when its caller has left, no caller is there
    to look at the error, and asyncio would print it with a traceback. It is only a connection less."""

    def on_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, asyncpg.PostgresConnectionError | asyncpg.InterfaceError):
            logger.info("pool.connection_lost error=%s", type(error).__name__)
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(on_exception)


_AWAY_CLASSES = ("08", "53", "57", "58")
"""A server that has no room, restarts or has trouble with its machine; a wrong password or name is a mistake."""

_STARTING = "57P03"


def connect_fault(dsn: str, error: BaseException, setting: str = "DATABASE_URL") -> ConfigError:
    """What CONNECT_ERRORS mean, as the error of the domain, in the words of `explain_connect`."""
    state = getattr(error, "sqlstate", None) or ""
    says = explain_connect(dsn, error, setting)
    is_passing = isinstance(error, OSError | TimeoutError) and not isinstance(error, ssl.SSLError)
    is_passing = is_passing and _missing_file(dsn) is None
    if is_passing or state[:2] in _AWAY_CLASSES:
        return DatabaseAway(says, is_there=state == _STARTING)
    return ConfigError(says)


def _missing_file(dsn: str) -> str | None:
    """A certificate or key that the address names, and that is not there: the driver does not say which."""
    try:
        query = dict(parse_qsl(urlsplit(dsn).query))
    except ValueError:
        return None
    files = (query.get(name) for name in ("sslrootcert", "sslcert", "sslkey", "sslcrl"))
    return next((name for name in files if name and name != "system" and not Path(name).exists()), None)


def explain_connect(dsn: str, error: BaseException, setting: str = "DATABASE_URL") -> str:
    """One sentence: where, why, and what to do. Never holds the password. `setting` is where the address is from."""
    where = address_of(dsn)
    state = getattr(error, "sqlstate", None) or ""
    if state.startswith("28"):
        return f"Postgres at {where} does not accept this user and password: check {setting}."
    if state == "3D000":
        return f"Postgres at {where} has no database of that name: create it, or check {setting}."
    if state == "53300":
        return f"Postgres at {where} has no connection left for us: raise max_connections, or close others."
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"The host of {where} is not known: check {setting}."
    if isinstance(error, ConnectionRefusedError):
        return f"Nothing listens at {where}: start Postgres there, or check {setting}."
    if isinstance(error, OSError) and (missing := _missing_file(dsn)) is not None:
        return f"The file {missing}, which {setting} names, is not there: correct its path, or put it there."
    if isinstance(error, FileNotFoundError):
        return f"There is no Postgres socket at {where}: start Postgres, or check {setting}."
    if isinstance(error, TimeoutError):
        limit = f"{CONNECT_TIMEOUT_S:.0f} s"
        return f"Postgres at {where} did not answer within {limit}: check host, port and firewall."
    if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
        return f"Postgres at {where} refuses the connection ({error}): check {setting}."
    return f"Postgres at {where} cannot be reached ({error}): check {setting}."
