"""How old a change is when it has been written to the sockets that follow it."""

from collections.abc import Callable
from datetime import datetime

from prometheus_client import Histogram

AGE = Histogram(
    "gateway_commit_to_write_seconds",
    "From the commit of a change to its write to all sockets that follow it live.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)


class WriteAge:
    """Takes the time of writes. `now` is Postgres' clock, in unix seconds: it stamps the commits."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    def written(self, at: str) -> None:
        """Events have been written, the first of them committed then (ISO 8601)."""
        AGE.observe(max(0.0, self._now() - datetime.fromisoformat(at).timestamp()))
