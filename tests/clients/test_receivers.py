"""The receivers of docs/webhooks-out.md as they stand there: they take what the gateway signs, and nothing else."""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from gateway.embedded_postgres.server import EmbeddedPostgres
from tests.clients.conftest import HERE, require_node_modules
from tests.clients.examples import RECEIVERS, example
from tests.http.support import Shop, opened, received, secret_of
from tests.launcher.running import DEADLINE_S, running
from tests.launcher.settings import settings_for
from tests.launcher.terminal import until
from tests.postgres_fixtures import clone

TARGETS = "/api/webhook-targets"
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_shop(
    postgres: EmbeddedPostgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Shop]:
    """A gateway with session 12 whose targets may be on this machine."""
    async with clone(postgres, "migrated") as database:
        settings = settings_for(
            database, tmp_path_factory.mktemp("receivers"), target_networks=("127.0.0.0/8",)
        )
        async with running(settings) as gateway, opened(gateway, database) as shop:
            await shop.add_session(12)
            yield shop


def command(language: str, text: str, folder: Path, port: int) -> tuple[str, ...]:
    """What runs this receiver at this port; skips the test, naming what is missing on this machine."""
    if language == "js":
        node = require_node_modules("express")
        code = text.replace("app.listen(3000)", f'app.listen({port}, "127.0.0.1")')
        return (node, "--input-type=module", "-e", code)
    if language == "python":
        (folder / "receiver.py").write_text(text)
        serve = ("-m", "uvicorn", "receiver:app", "--app-dir", str(folder), "--port", str(port))
        return (sys.executable, "-u", *serve)
    php = shutil.which("php")
    if php is None:
        pytest.skip("php is missing: install the package `php-cli`")
    (folder / "receiver.php").write_text(text)
    return (php, "-d", "error_log=/dev/stderr", "-S", f"127.0.0.1:{port}", str(folder / "receiver.php"))


@contextlib.asynccontextmanager
async def serving(command: tuple[str, ...], port: int, **env: str) -> AsyncIterator[asyncio.StreamReader]:
    """What the receiver says, once its port is open."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=HERE, env={**os.environ, **env},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None

    def is_open() -> bool:
        assert process.returncode is None, "the receiver has ended"
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    try:
        await until(is_open, "the receiver listens")
        yield process.stdout
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@pytest.mark.parametrize("mode", ["standard", "raw"])
@pytest.mark.parametrize("language", list(RECEIVERS))
async def test_a_receiver_takes_what_the_gateway_signs_and_nothing_else(
    shared_shop: Shop, tmp_path: Path, unused_tcp_port: int, language: str, mode: str
) -> None:
    shop, is_raw = shared_shop, mode == "raw"
    text = example("webhooks-out.md", language, RECEIVERS[language][is_raw])
    url = f"http://127.0.0.1:{unused_tcp_port}/{'webhook' if is_raw else 'hook'}"
    wanted = "messages.received" if is_raw else "message.created"
    run = command(language, text, tmp_path, unused_tcp_port)
    wish = {"url": url, "mode": mode, "events": [wanted]}
    target = await shop.gateway.data("POST", TARGETS, wish)
    secret = {"WASENDER_WEBHOOK_SECRET": secret_of(12)} if is_raw else {"WEBHOOK_SECRET": target["secret"]}
    try:
        async with serving(run, unused_tcp_port, **secret) as says:
            await shop.take(received("hello from Ann", uuid.uuid4().hex))
            async with asyncio.timeout(DEADLINE_S):
                while wanted.encode() not in (line := await says.readline()):
                    assert line, "the receiver has ended"
            assert b"hello from Ann" in line

            strangers = {"X-Webhook-Signature": "guessed", "Content-Type": "application/json"}
            body = json.dumps({"event": "messages.received", "data": {}, "type": "message.created"})
            async with aiohttp.request("POST", url, data=body, headers=strangers) as reply:
                assert reply.status == 401
    finally:
        await shop.gateway.data("DELETE", f"{TARGETS}/{target['id']}")
