"""The one connection that listens, and that holds our leases.

It runs on the direct host, never through a pool. It is treated as fragile: one statement at a time, each with a
deadline; a NOTIFY to ourselves every few seconds as a probe, because a half-open socket looks fine for minutes;
`terminate` when in doubt, then back-off with jitter and connect → LISTEN → every part reads once. A cut that no packet
announces is noticed within HEARTBEAT_S + STATEMENT_S. A lease is an advisory lock of this connection: a
gateway that lost this connection has lost its leases, too.

Lifecycle: `open` connects and hears its own notification once (raises ConfigError if it does not come back); `run`
keeps the connection up until cancelled, but closed between `sleep` and `wake`; `close` lets go.
"""

import asyncio
import contextlib
import json
import logging
import random
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

from gateway import __version__
from gateway.domain.backoff import Backoff
from gateway.domain.errors import ConfigError, GatewayError, StoreUnavailable
from gateway.domain.notifications import UNNUMBERED, is_known_to_writer
from gateway.postgres.connection.away import why_away
from gateway.postgres.connection.pool import (
    CONNECT_ERRORS,
    CONNECT_TIMEOUT_S,
    connect_direct,
    connect_fault,
    end_implicit_transaction,
    mapped_errors,
)
from gateway.postgres.connection.watchdog import Watchdog
from gateway.services.deadlines import CANCEL_S, Deadline
from gateway.services.signals import Signals

logger = logging.getLogger(__name__)

MESSAGES_CHANNEL = "whatsapp_incoming_messages"
SESSIONS_CHANNEL = "whatsapp_sessions"
KEYS_CHANNEL = "whatsapp_session_keys"
ACCESS_CHANNEL = "whatsapp_gateway_access"
SENDING_CHANNEL = "whatsapp_gateway_sending"
PRESENCE_CHANNEL = "whatsapp_gateway_presence"
TARGETS_CHANNEL = "whatsapp_gateway_targets"

PROBE_S = 5.0
STATEMENT_S = 5.0
"""Deadline of any statement here; behind a blocked one no notification is heard."""

FAREWELL_S = 1.0
"""Deadline of leaving in good order."""

HEARTBEAT_S = 3.0
"""Longest between two beats, however rare the probes are: peers count the seconds."""

FROZEN_AFTER_S = 8.0
"""A peer whose row is older than this, and whose backend is still there, is frozen: its backend is ended."""

BACKOFF = Backoff(first_s=0.25, most_s=5.0)

APPLICATION = "whatsapp-gateway-listener"


_HEARTBEAT = """
INSERT INTO gateway.gateways AS g (id, backend_pid, host, started_at, seen_at, version, facts)
VALUES ($1, pg_backend_pid(), $2, clock_timestamp(), clock_timestamp(), $3, $4::text::jsonb)
ON CONFLICT (id) DO UPDATE
SET backend_pid = pg_backend_pid(), seen_at = clock_timestamp(), facts = excluded.facts
RETURNING (SELECT value #>> '{}' FROM gateway.settings WHERE key = 'compatible_from')
"""

# Only backends that are still listeners of ours: pids are used again by others.
_END_FROZEN = """
WITH frozen AS (
    DELETE FROM gateway.gateways
    WHERE id <> $1 AND seen_at < clock_timestamp() - make_interval(secs => $2)
    RETURNING backend_pid
)
SELECT pg_terminate_backend(a.pid)
FROM frozen JOIN pg_stat_activity a ON a.pid = frozen.backend_pid
WHERE a.application_name = $3 AND a.usename = current_user
"""

# Advisory locks share one space with the shop's; the high bits make ours unlikely to meet theirs.
LEASE_SPACE = 0x57A6 << 44
_LEASES = 1 << 44


SENDING_SPACE = 0x57A8 << 44
"""Leases of another kind have numbers of their own: a session may be linked and sent at once."""


TARGET_SPACE = 0x57AA << 44
"""Leases of webhook targets."""


def lease_of(session_id: int, space: int = LEASE_SPACE) -> int:
    """The number of the lock. Ids of WasenderAPI are far below 2^44; the sum for a larger one would not fit bigint."""
    return space + (session_id if session_id < _LEASES else session_id % (_LEASES - 59))


# Advisory locks of one connection stack up; ask only if this one has none yet.
_ACQUIRE = """
SELECT CASE WHEN EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND objsubid = 1
      AND ((classid::bigint << 32) | objid::bigint) = $1)
THEN true ELSE pg_try_advisory_lock($1) END
"""

_RELEASE = "SELECT pg_advisory_unlock($1)"

_FORGET = "DELETE FROM gateway.gateways WHERE id = $1"
_PROBE = "SELECT pg_notify($1, '')"


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """Whose connection it is, and how it is kept."""

    gateway_id: str
    timezone: str
    probe_s: float
    """Between two probes; 0 where the database may sleep."""

    heartbeat_s: float = HEARTBEAT_S
    statement_s: float = STATEMENT_S
    connect_s: float = CONNECT_TIMEOUT_S
    backoff: Backoff = BACKOFF
    """Before connecting anew."""


class Listener:
    """Hears notifications and holds leases on one connection, and makes a new one whenever it is lost."""

    def __init__(
        self, dsn: str, signals: Signals, settings: ListenerSettings, watchdog: Watchdog | None = None
    ) -> None:
        self._dsn = dsn
        self._signals = signals
        self._gateway_id = settings.gateway_id
        self._timezone = settings.timezone
        # 0 lets the database sleep while it is not needed; while it is, the connection is probed as with 5.
        self._probe_s = settings.probe_s or PROBE_S
        self._heartbeat_s = settings.heartbeat_s
        self._statement_s = settings.statement_s
        self._connect_s = settings.connect_s
        self._backoff = settings.backoff
        self._probe_channel = f"gateway_probe_{self._gateway_id.replace('-', '')}"
        self._echo = asyncio.Event()
        self._lost = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._watchdog = watchdog or Watchdog()
        self._connection: asyncpg.Connection | None = None
        self._failures = 0
        self.complaint: str | None = None
        """Why Postgres is not heard, as half a sentence; None while it is."""
        self.awake = asyncio.Event()
        """Cleared while the database may sleep: then nothing here asks it by itself."""
        self.awake.set()
        self._is_up = asyncio.Event()
        self.heard_at = 0.0
        self.facts: Mapping[str, object] = {}
        """What this gateway tells its peers, and operators, of itself: JSON values."""
        self._beat_at = float("-inf")

    # ------------------------------------------------------------------------------------------ lifecycle

    async def open(self) -> None:
        """Connects, and proves that notifications come back. Raises ConfigError, StoreUnavailable."""
        self._watchdog.open()
        try:
            await self._connect()
        except CONNECT_ERRORS as error:
            raise connect_fault(self._dsn, error) from None
        with mapped_errors():
            if not await self._hears_itself():
                await self.close()
                raise ConfigError(
                    "NOTIFY does not come back from this database host: it looks like a transaction pooler "
                    "(PgBouncer, Neon's -pooler). Set GATEWAY_LISTEN_URL to the direct host."
                )
        self._up()

    async def _hears_itself(self) -> bool:
        """False where statements are answered, and notifications are not brought."""
        try:
            await self._probe()
        except TimeoutError:
            await self.statement("SELECT 1")  # a connection that died, or a server that hangs, is no pooler
            return False
        return True

    async def run(self) -> None:
        """Keeps the connection until it is cancelled: connects, listens, probes, and connects again."""
        while True:
            try:
                if self._connection is None:
                    await self._connect()
                    self._up()
                await self._watch()
            except (GatewayError, *CONNECT_ERRORS) as error:
                if self.awake.is_set():
                    self.complaint = why_away(error)
                    logger.warning("listener.lost error=%s why=%r", type(error).__name__, self.complaint)
            self._down()
            if self.awake.is_set():
                await self._back_off()
            await self.awake.wait()

    def _said_of_itself(self) -> tuple[str, str, str, str]:
        return self._gateway_id, socket.gethostname(), __version__, json.dumps(dict(self.facts))

    @property
    def silent_s(self) -> float:
        """Since when no notification was heard, not even the probe's own; 0 before the first, and while it sleeps."""
        return max(0.0, _now() - self.heard_at) if self.heard_at and self.awake.is_set() else 0.0

    @property
    def is_up(self) -> bool:
        """Whether the connection is open and has answered its last probe."""
        return self._is_up.is_set()

    def is_cut_off(self) -> bool:
        """Whether notifications may be lost now."""
        return not self.is_up

    async def sleep(self) -> None:
        """Lets go of the connection, and of every lease, until `wake`. Idempotent."""
        if self.awake.is_set():
            self.awake.clear()
            self._is_up.clear()
            logger.info("listener.asleep")
            # Before anything is waited for: a client may wake the listener meanwhile, and the next connection is not
            # lost.
            self._lost.set()
            await self._let_go()

    def wake(self) -> None:
        """Connects again if it sleeps. Never waits."""
        self.awake.set()

    async def wait_until_up(self) -> None:
        """Returns once the connection is open and listens."""
        await self._is_up.wait()

    async def close(self) -> None:
        """Lets the connection go, and its leases with it."""
        self._watchdog.close()
        self._is_up.clear()
        await self._let_go()

    async def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        self._watchdog.guard(None)
        if connection is not None:
            try:
                async with Deadline(connection, FAREWELL_S), self._one_at_a_time:
                    await connection.execute(_FORGET, self._gateway_id)
                    await connection.close()
            except CONNECT_ERRORS:
                pass
            finally:  # also when we are cancelled in the middle of it
                if not connection.is_closed():
                    connection.terminate()

    async def _connect(self) -> None:
        self._lost.clear()
        connection = await connect_direct(
            self._dsn, timezone=self._timezone, name=APPLICATION, connect_s=self._connect_s
        )
        try:
            async with Deadline(connection, self._statement_s):
                # Callbacks only set flags. What comes between LISTEN and the registration of a callback is
                # dropped by the driver; that is why everything is read once in `_up`.
                await connection.add_listener(MESSAGES_CHANNEL, self._messages_notified)
                await connection.add_listener(SESSIONS_CHANNEL, self._heard(self._signals.sessions_moved))
                await connection.add_listener(KEYS_CHANNEL, self._heard(self._signals.keys_moved))
                await connection.add_listener(ACCESS_CHANNEL, self._heard(self._signals.access_moved))
                await connection.add_listener(SENDING_CHANNEL, self._heard(self._signals.queues_moved))
                await connection.add_listener(PRESENCE_CHANNEL, self._heard(self._signals.presence_moved))
                await connection.add_listener(TARGETS_CHANNEL, self._heard(self._signals.targets_moved))
                await connection.add_listener(
                    self._probe_channel, self._heard(lambda payload: self._echo.set())
                )
                began = _now()
                least = await connection.fetchval(_HEARTBEAT, *self._said_of_itself())
                self._signals.schema_served_from(least)
                self._beat_at = began
        except BaseException:
            connection.terminate()
            raise
        connection.add_termination_listener(self._on_terminated)
        self._connection = connection
        self._watchdog.guard(connection)

    def _on_terminated(self, connection: Any) -> None:
        if connection is self._connection:  # not one that was let go of, and ends only now
            self._lost.set()

    async def _watch(self) -> None:
        """Probes until something is wrong, and then returns or raises."""
        failures = 0
        while not self._lost.is_set():
            try:
                async with asyncio.timeout(min(self._probe_s, self._heartbeat_s)):
                    await self._lost.wait()
                return
            except TimeoutError:
                pass
            # Notifications of others are proof enough; a NOTIFY of ours would only add to them.
            if _now() - self.heard_at > self._probe_s / 2:
                await self._probe()
                self.heard_at = _now()
            began = _now()
            least = await self.statement(_HEARTBEAT, *self._said_of_itself())
            self._beat_at = began
            self._signals.schema_served_from(least)
            self._signals.leases_renewed()
            self._failures = (
                0  # not sooner: one that is cut again and again should come back ever more slowly
            )
            try:
                await self.statement(_END_FROZEN, self._gateway_id, FROZEN_AFTER_S, APPLICATION)
            except asyncpg.InsufficientPrivilegeError:
                failures += 1
                if failures == 1:
                    logger.warning("listener.cannot_end_frozen_peers reason=missing_right")

    async def _probe(self) -> None:
        """A NOTIFY to ourselves. Raises TimeoutError if it does not come back in time."""
        self._echo.clear()
        await self.statement(_PROBE, self._probe_channel)
        async with asyncio.timeout(self._statement_s):
            await self._echo.wait()

    def _up(self) -> None:
        self._is_up.set()
        self.complaint = None
        logger.info("listener.up")
        self._signals.hear_again()

    def _down(self) -> None:
        connection, self._connection = self._connection, None
        self._watchdog.guard(None)
        if connection is not None and not connection.is_closed():
            connection.terminate()
        if self.is_up:
            self._is_up.clear()
            if self.awake.is_set():  # a listener that sleeps was not cut off
                self._signals.cut_off()

    async def _back_off(self) -> None:
        self._failures += 1
        await asyncio.sleep(self._backoff.pause_s(self._failures, random.random()))

    def _messages_notified(self, connection: Any, pid: int, channel: str, payload: object) -> None:
        self.heard_at = _now()
        payload = str(payload)
        if payload == UNNUMBERED:
            self._signals.left_unnumbered(payload)
        elif is_known_to_writer(payload):
            self._signals.written_by(payload, pid)
        else:
            self._signals.inboxes_moved(payload)

    def _heard(self, then: Callable[[str], None]) -> Callable[..., None]:
        def callback(connection: Any, pid: int, channel: str, payload: object) -> None:
            self.heard_at = _now()
            then(str(payload))

        return callback

    # ------------------------------------------------------------------------------------------ statements

    async def statement(self, statement: str, *arguments: object) -> Any:
        """First value of one statement on the listening connection. Raises StoreUnavailable or TimeoutError."""
        async with self._one_at_a_time:
            connection = self._connection
            if connection is None:
                raise StoreUnavailable("The listening connection is down.")
            try:
                async with Deadline(connection, self._statement_s):
                    return await connection.fetchval(statement, *arguments)
            except TimeoutError:
                # The statement may still run there: this connection cannot be trusted any more.
                self._lost.set()
                connection.terminate()
                raise
            except BaseException as error:
                # Else it hears nothing until its next statement: the server brings no notification into a transaction.
                left_s = CANCEL_S if isinstance(error, asyncio.CancelledError) else self._statement_s
                await end_implicit_transaction(connection, left_s, connection)
                raise

    # ------------------------------------------------------------------------------------------ leases

    @property
    def lease_left_s(self) -> float:
        """For how long no peer can have ended this connection as a frozen one; 0 while it is down."""
        return max(0.0, self._beat_at + FROZEN_AFTER_S - _now()) if self.is_up else 0.0

    async def acquire(self, session_id: int, space: int = LEASE_SPACE) -> bool:
        """The right to run the poller of a session, in the whole cluster; False if another gateway has it."""
        await self._wake_up()
        with mapped_errors():
            try:
                return bool(await self.statement(_ACQUIRE, lease_of(session_id, space)))
            except TimeoutError:
                return False

    async def _wake_up(self) -> None:
        if not self.awake.is_set():
            self.wake()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._statement_s):
                    await self._is_up.wait()

    async def release(self, session_id: int, space: int = LEASE_SPACE) -> None:
        """Gives the session's lease back; with the connection lost it is gone already."""
        try:
            with mapped_errors():
                await self.statement(_RELEASE, lease_of(session_id, space))
        except StoreUnavailable:
            pass  # the connection is gone, and the lock with it


class SendingLeases:
    """The right to send the queue of a session: a lease of another kind on the same connection."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    async def acquire(self, session_id: int) -> bool:
        """Whether this process holds the lease now. Never waits for another holder."""
        return await self._listener.acquire(session_id, SENDING_SPACE)

    async def release(self, session_id: int) -> None:
        """Gives the lease back, so that another gateway may take it at once."""
        await self._listener.release(session_id, SENDING_SPACE)


class TargetLeases:
    """The right to deliver to a webhook target: a lease of its own kind on the same connection."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    async def acquire(self, target_id: int) -> bool:
        """Whether this process holds the lease now. Never waits for another holder."""
        return await self._listener.acquire(target_id, TARGET_SPACE)

    async def release(self, target_id: int) -> None:
        """Gives the lease back, so that another gateway may take it at once."""
        await self._listener.release(target_id, TARGET_SPACE)


def _now() -> float:
    return asyncio.get_running_loop().time()
