"""The gateway as it is in life: `gateway serve` in its process, on a Postgres that keeps what it has acknowledged."""

import asyncio
import itertools
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import jwt

from gateway.embedded_postgres.server import EmbeddedPostgres
from gateway.postgres.migrations.runner import migrate
from tests.benchmarks.crowd import Crowd, Manners
from tests.benchmarks.served import Served
from tests.launcher.settings import NOWHERE, SECRET, WIDE_ENV, environment_of
from tests.postgres_fixtures import FAST, make_folder

_SUBSCRIBE = '{"type":"subscribe","ref":"1","topic":"TOPIC"}'
BEARER = jwt.encode(
    {"sub": "bench", "name": "Bench", "role": "admin", "sessions": "*", "exp": int(time.time()) + 86_400},
    SECRET,
    "HS256",
)
MANNERS = Manners(
    headers=f"Authorization: Bearer {BEARER}\r\n",
    steps=[('"welcome"', _SUBSCRIBE), ('"subscribed"', "")],
)

_JOIN = (
    '["1","1","realtime:bench","phx_join",{"config":{"postgres_changes":'
    '[{"event":"*","schema":"public","table":"whatsapp_incoming_messages"}]}}]'
)
SUPABASE = Manners(
    path=f"/realtime/v1/websocket?apikey={BEARER}&vsn=2.0.0",
    steps=[("", _JOIN), ("Subscribed to PostgreSQL", "")],
)
"""As Supabase's clients speak to it."""


def name_of(dsn: str) -> str:
    """The database's name."""
    return dsn.rpartition("@/")[2].partition("?")[0]


_numbers = itertools.count(1)


@dataclass
class Ground:
    """A private Postgres with durable commits, and the loop on which we speak to it."""

    runner: asyncio.Runner
    server: EmbeddedPostgres
    data_dir: Path
    """Of gateways; on a disk, since they refuse to keep webhooks in memory."""

    @contextmanager
    def database(self, template: str = "migrated") -> Iterator[str]:
        """A database of its own, gone afterwards; yields its DSN."""
        name = f"bench_{next(_numbers)}"
        self.execute("postgres", f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.server.dsn_of(name)
        finally:
            self.execute("postgres", f"DROP DATABASE {name} WITH (FORCE)")

    def execute(self, database: str, *statements: str) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(self.server.dsn_of(database))
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        self.runner.run(run())

    @contextmanager
    def gateway(
        self,
        dsn: str,
        module: str = "gateway",
        more: Mapping[str, str] | None = None,
        upstream: Mapping[str, Any] = NOWHERE,
        data_dir: Path | None = None,
    ) -> Iterator[tuple[Served, int]]:
        """A running gateway and its port. `module` may be one that serves it with other parts."""
        env = {
            **WIDE_ENV,
            **(more or {}),
            **environment_of(
                {"database_url": dsn, "data_dir": data_dir or self.data_dir, "secret": SECRET, **upstream}
            ),
        }
        with Served([sys.executable, "-m", module, "serve", "--port", "0"], env) as process:
            yield process, int(process.wait_for(r"runs at \S+:(\d+)")[1])


@contextmanager
def ground(*, is_durable: bool, settings: Mapping[str, str] | None = None) -> Iterator[Ground]:
    """`is_durable`: on a disk, where an fsync costs what it costs; otherwise as fast as tests want it.

    `settings` are Postgres' own, besides.
    """
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-")) if is_durable else make_folder()
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder, settings={**({} if is_durable else FAST), **(settings or {})})
    with asyncio.Runner() as runner, tempfile.TemporaryDirectory(prefix="gateway-bench-data-") as data_dir:
        server.start_now()
        try:
            made = Ground(runner, server, Path(data_dir))
            made.execute("postgres", "CREATE DATABASE migrated")
            runner.run(migrate(server.dsn_of("migrated"), report=lambda _: None))
            yield made
        finally:
            server.stop_now()
            shutil.rmtree(folder, ignore_errors=True)


def crowd_of(port: int, size: int, inboxes: int = 1) -> Crowd:
    """Clients of the gateway, spread over the inboxes 1 to `inboxes`."""
    made = Crowd(port, MANNERS, lambda number: f"inbox:{number % inboxes + 1}")
    made.grow_to(size)
    return made
