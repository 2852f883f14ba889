"""What a gateway holds at a moment: memory, tasks, descriptors, connections, rows."""

from dataclasses import dataclass, fields
from pathlib import Path

import asyncpg
import psutil

_TABLES = """
SELECT CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname AS name,
    c.oid::regclass::text AS place
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname IN ('public', 'gateway') ORDER BY 1
"""
_BACKENDS = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'whatsapp-gateway%'
"""


@dataclass(frozen=True, slots=True)
class Moment:
    """One look at a gateway's process."""

    memory_mib: float
    tasks: int
    threads: int
    descriptors: int
    sockets: int
    """Connections of every kind that are open."""
    backends: int
    """Of Postgres, for this gateway."""

    def line(self) -> str:
        """All of it in words."""
        return ", ".join(
            f"{getattr(self, each.name):.0f} {each.name.replace('memory_mib', 'MiB')}"
            for each in fields(self)
        )


async def look(pid: int, tasks_file: Path, db: asyncpg.Connection) -> Moment:
    """What it holds now."""
    process = psutil.Process(pid)
    with process.oneshot():
        return Moment(
            memory_mib=process.memory_info().rss / (1 << 20),
            tasks=_number_in(tasks_file),
            threads=process.num_threads(),
            descriptors=process.num_fds(),
            sockets=sum(each.status == psutil.CONN_ESTABLISHED for each in process.net_connections("inet")),
            backends=int(await db.fetchval(_BACKENDS)),
        )


async def rows(db: asyncpg.Connection) -> dict[str, int]:
    """How many rows each table has."""
    tables = await db.fetch(_TABLES)
    return {row["name"]: int(await db.fetchval(f"SELECT count(*) FROM {row['place']}")) for row in tables}


def _number_in(path: Path) -> int:
    return int(path.read_text() or 0) if path.exists() else 0
