"""What the listening connection says to Postgres."""

HEARTBEAT = """
INSERT INTO gateway.gateways AS g (id, backend_pid, host, started_at, seen_at)
VALUES ($1, pg_backend_pid(), $2, clock_timestamp(), clock_timestamp())
ON CONFLICT (id) DO UPDATE SET backend_pid = pg_backend_pid(), seen_at = clock_timestamp()
"""

# Only backends that are still listeners of ours: pids are used again by others.
END_FROZEN = """
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


def lease_of(session_id: int, space: int = LEASE_SPACE) -> int:
    """The number of the lock. Ids of WasenderAPI are far below 2^44; the sum for a larger one would not fit bigint."""
    return space + (session_id if session_id < _LEASES else session_id % (_LEASES - 59))


# Advisory locks of one connection stack up; ask only if this one has none yet.
ACQUIRE = """
SELECT CASE WHEN EXISTS (
    SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND objsubid = 1
      AND ((classid::bigint << 32) | objid::bigint) = $1)
THEN true ELSE pg_try_advisory_lock($1) END
"""

RELEASE = "SELECT pg_advisory_unlock($1)"

FORGET = "DELETE FROM gateway.gateways WHERE id = $1"
PROBE = "SELECT pg_notify($1, '')"
