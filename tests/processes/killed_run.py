"""A run of tests that says what it has started and never ends by itself; test_killed_runs.py kills it."""

import asyncio
import json
import os
from pathlib import Path

from gateway.embedded_postgres.server import EmbeddedPostgres
from tests.launcher.settings import SECRET
from tests.launcher.terminal import Terminal
from tests.processes.postgres_processes import servers_of
from tests.processes.test_workers import both_up, children_of


async def test_that_never_ends(
    postgres: EmbeddedPostgres, database: str, terminal: Terminal, data_dir: Path
) -> None:
    serve = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET, "GATEWAY_WORKERS": "2"}
    async with (
        terminal.start("demo", "--port", "0", "--data-dir", data_dir) as demo,
        terminal.start("serve", "--port", "0", env=serve) as workers,
    ):
        await demo.line("Open this address")
        await both_up(workers)
        told = Path(os.environ["TELL"])
        folders = [str(postgres.data_dir), str(data_dir.parent)]
        servers = [pid for folder in folders for pid in servers_of(Path(folder))]
        gateways = [demo.pid, workers.pid, *children_of(workers.pid)]
        told.with_suffix(".new").write_text(
            json.dumps({"folders": folders, "servers": servers, "gateways": gateways})
        )
        told.with_suffix(".new").rename(told)
        await asyncio.get_running_loop().create_future()
