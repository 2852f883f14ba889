"""Two neighbouring versions on one database: a rolling upgrade under load, and back."""

import asyncio
import contextlib
import itertools
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio

from gateway.domain.errors import ConfigError
from gateway.embedded_postgres.server import EmbeddedPostgres
from gateway.postgres.connection.pool import connect_direct
from gateway.runtime.context import DEFAULT_TIMINGS
from gateway.runtime.gateway import open_gateway
from gateway.settings import Settings
from tests.http.support import HOOK, eventually, key_of, received, secret_of
from tests.http.support import opened as shop_of
from tests.launcher.running import Running, running
from tests.launcher.settings import NOWHERE, SECRET, environment_of, media_url_for, settings_for
from tests.launcher.terminal import CHECKOUT, Terminal
from tests.postgres_fixtures import clone

NEXT = "0.2.0"
MIGRATION = """
ALTER TABLE gateway.contacts ADD COLUMN nickname text;
CREATE TABLE gateway.of_the_next_version (id int PRIMARY KEY);
"""


def make_next_version(folder: Path) -> None:
    """The whole program once more, with another version and one migration more."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(CHECKOUT / "gateway", folder / "gateway", ignore=ignore)
    shutil.copytree(CHECKOUT / "sql", folder / "sql")
    (folder / "sql" / "9000_next.sql").write_text(MIGRATION)
    init = folder / "gateway" / "__init__.py"
    init.write_text(init.read_text().replace("0.1.0", NEXT))
    assert NEXT in init.read_text()


@dataclass
class Load:
    """Webhooks, one after the other, each to a gateway that takes them; as a load balancer hands them out."""

    http: aiohttp.ClientSession
    gateways: list[str]
    taken: set[str] = field(default_factory=set)

    async def run(self) -> None:
        for number in itertools.count():
            key = f"LOAD{number}"
            body = json.dumps({**received(f"message {number}", key_id=key), "sessionId": key_of(12)})
            while key not in self.taken:
                await asyncio.sleep(0)  # there may be no gateway yet
                for url in tuple(self.gateways):
                    with contextlib.suppress(aiohttp.ClientError):
                        headers = {"X-Webhook-Signature": secret_of(12)}
                        async with self.http.post(url + HOOK, data=body, headers=headers) as reply:
                            if reply.status == 200:
                                self.taken.add(key)
                                break

    async def more(self, count: int = 5) -> None:
        """Returns when so many more have been taken."""
        wanted = len(self.taken) + count

        async def there() -> bool:
            return len(self.taken) >= wanted

        await eventually(there, what="load")


@contextlib.asynccontextmanager
async def next_version(folder: Path, dsn: str) -> AsyncIterator[str]:
    """A gateway of the next version; its address."""
    settings = {
        "database_url": dsn, "data_dir": folder / "next-data", "port": 0, "secret": SECRET,
        "media_url": media_url_for(dsn), **NOWHERE,
    }  # fmt: skip
    env = {**environment_of(settings), "PYTHONPATH": str(folder)}
    async with Terminal(folder).start("serve", env=env) as command:
        yield (await command.line(r"runs at (\S+)"))[1]


@dataclass
class Upgraded:
    dsn: str
    folder: Path
    load: Load
    versions: list[str]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_upgrade(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Upgraded]:
    folder = tmp_path_factory.mktemp("upgrade")
    make_next_version(folder)
    versions: list[str] = []
    async with clone(postgres, "migrated") as dsn, aiohttp.ClientSession() as http:
        load = Load(http, [])
        loading = asyncio.ensure_future(load.run())
        try:
            async with next_while_old_serves(folder, dsn, load, versions) as url:
                await load.more()
                # Back: the old version starts on the newer schema, and the next one goes.
                async with old_version(folder, dsn) as back:
                    load.gateways.append(back.url)
                    await load.more()
                    load.gateways.remove(url)
                    await load.more()
                    versions.append(await version_of(http, back.url))
        finally:
            loading.cancel()
        yield Upgraded(dsn, folder, load, versions)


@contextlib.asynccontextmanager
async def next_while_old_serves(
    folder: Path, dsn: str, load: Load, versions: list[str]
) -> AsyncIterator[str]:
    async with contextlib.AsyncExitStack() as stack:
        async with old_version(folder, dsn) as old, shop_of(old, dsn) as shop:
            await shop.add_session(12)
            load.gateways.append(old.url)
            await load.more()
            url = await stack.enter_async_context(next_version(folder, dsn))
            await load.more()  # the old version on the newer schema
            load.gateways.append(url)
            load.gateways.remove(old.url)
            versions += [await version_of(load.http, old.url), await version_of(load.http, url)]
        yield url


@contextlib.asynccontextmanager
async def old_version(folder: Path, dsn: str) -> AsyncIterator[Running]:
    async with running(settings_for(dsn, folder / "old-data", **NOWHERE), timings=DEFAULT_TIMINGS) as gateway:
        yield gateway


async def refused(settings: Settings) -> None:
    """Starts a gateway that cannot start."""
    async with open_gateway(settings, "http://127.0.0.1:9"):
        pass


async def version_of(http: aiohttp.ClientSession, url: str) -> str:
    async with http.get(url + "/healthz") as reply:
        return str((await reply.json())["version"])


async def test_both_versions_have_served_and_the_old_one_came_back(shared_upgrade: Upgraded) -> None:
    assert shared_upgrade.versions == ["0.1.0", NEXT, "0.1.0"]


async def test_every_webhook_that_was_taken_is_one_row_and_one_event(shared_upgrade: Upgraded) -> None:
    connection = await connect_direct(shared_upgrade.dsn)
    rows = await connection.fetch("SELECT message_id FROM whatsapp_incoming_messages")
    events = await connection.fetch(
        "SELECT off, record ->> 'message_id' AS id FROM gateway.stream WHERE inbox = 12 ORDER BY off"
    )
    assert await connection.fetchval("SELECT count(*) FROM gateway.of_the_next_version") == 0
    await connection.close()

    assert len(shared_upgrade.load.taken) > 20
    assert {row["message_id"] for row in rows} >= shared_upgrade.load.taken
    assert [row["off"] for row in events] == list(range(1, len(events) + 1))
    assert sorted(row["id"] for row in events) == sorted({row["message_id"] for row in rows})


async def test_a_gateway_that_is_too_old_for_the_schema_drains_and_says_why(
    shared_upgrade: Upgraded,
) -> None:
    async with (
        old_version(shared_upgrade.folder, shared_upgrade.dsn) as old,
        shop_of(old, shared_upgrade.dsn) as shop,
        old.socket() as socket,
    ):
        await shop.db.execute(
            f"UPDATE gateway.settings SET value = '\"{NEXT}\"' WHERE key = 'compatible_from'"
        )
        try:
            await socket.next("drain")
            status, body = await old.call("GET", "/readyz", token="")
            assert (status, body["status"]) == (503, "draining")
            assert body["why"] == (
                f"The database needs gateway {NEXT} or newer, and this is 0.1.0: start that version instead."
            )
            status, body = await old.call("GET", "/api/conversations")
            assert (status, body["code"], body["error"]) == (503, "unavailable", body["error"])
            assert NEXT in body["error"]
            assert (await old.call("GET", "/healthz", token=""))[0] == 200
            await shop.take(received(key_id="AFTER"))
            with pytest.raises(ConfigError, match=f"needs gateway {NEXT} or newer"):
                await refused(settings_for(shared_upgrade.dsn, shared_upgrade.folder / "other", **NOWHERE))
        finally:
            await shop.db.execute(
                "UPDATE gateway.settings SET value = '\"0.1.0\"' WHERE key = 'compatible_from'"
            )


async def test_the_next_version_leaves_a_schema_alone_when_told_so(
    database: str, shared_upgrade: Upgraded
) -> None:
    env = {
        "DATABASE_URL": database, "GATEWAY_SECRET": SECRET, "GATEWAY_DATA_DIR": str(shared_upgrade.folder / "data"),
        "PYTHONPATH": str(shared_upgrade.folder),
    }  # fmt: skip
    said = await Terminal(shared_upgrade.folder).run("serve", "--no-migrate", "--port", "0", env=env)
    assert said.complaint() == (
        "The database is older than this gateway (it lacks 9000_next.sql), and --no-migrate forbids to change it: "
        "run `gateway migrate`."
    )


async def test_a_gateway_that_may_not_migrate_starts_on_its_own_schema(database: str, tmp_path: Path) -> None:
    async with running(
        settings_for(database, tmp_path, no_migrate=True, **NOWHERE), timings=DEFAULT_TIMINGS
    ) as gateway:
        assert (await gateway.call("GET", "/readyz", token=""))[0] == 200


async def test_a_database_without_a_schema_is_one_sentence(empty_database: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no schema of the gateway yet"):
        await refused(settings_for(empty_database, tmp_path, no_migrate=True, **NOWHERE))
