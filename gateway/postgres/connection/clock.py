"""Our clock, as Postgres' would show it: what several gateways tell of one session is put in order by one clock.

Lifecycle: one `DatabaseClock` for all tables of a pool, so that their times can be compared to the microsecond.
"""

import time
from datetime import UTC, datetime, timedelta

from gateway.postgres.connection.driver import Connection

LOOK_EVERY_S = 60.0
TOLERANCE_S = 0.02
"""A smaller difference is not corrected: it may be the way to Postgres, and times of ours must not change places."""

_NOW = "SELECT extract(epoch FROM clock_timestamp())::float8"


class DatabaseClock:
    """Turns moments of this machine's clock into moments of Postgres'."""

    def __init__(self) -> None:
        self._ahead_s = 0.0
        """How far Postgres' clock is ahead of ours."""
        self._looked_at = float("-inf")

    def now(self) -> float:
        """The time on Postgres' clock, in unix seconds, as far as it was looked at."""
        return time.time() + self._ahead_s

    async def when(self, connection: Connection, at: float | None = None) -> datetime:
        """The time on Postgres' clock of `at`, unix seconds on ours; without it, of now."""
        if time.monotonic() - self._looked_at > LOOK_EVERY_S:
            await self._look(connection)
        moment = datetime.fromtimestamp(time.time() if at is None else at, UTC)
        return moment + timedelta(seconds=self._ahead_s)

    async def _look(self, connection: Connection) -> None:
        before = time.time()
        theirs: float = await connection.fetchval(_NOW)
        after = time.time()
        self._looked_at = time.monotonic()
        ahead_s = theirs - (before + after) / 2
        if abs(ahead_s - self._ahead_s) > TOLERANCE_S + (after - before) / 2:
            self._ahead_s = ahead_s
