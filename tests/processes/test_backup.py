"""`gateway backup` while a gateway works, and `gateway restore` elsewhere: the same gateway, and nothing done twice."""

import asyncio
import contextlib
import fcntl
import io
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image

from gateway.cli.actions import backup as actions
from gateway.cli.actions import restore as restoring
from gateway.domain.errors import ConfigError
from gateway.embedded_postgres import programs
from gateway.embedded_postgres.server import EmbeddedPostgres
from gateway.postgres.connection.pool import connect_direct
from gateway.runtime.context import DEFAULT_TIMINGS
from gateway.spool.file import SpoolFile, insert
from tests.http.media_parts import Post, linked_number, sha256
from tests.http.support import INCOMING, OUTGOING, Shop, eventually
from tests.http.support import opened as shop_of
from tests.launcher.running import Running, running
from tests.launcher.settings import SECRET, settings_for
from tests.launcher.terminal import Ended, Terminal
from tests.postgres_fixtures import clone

PASSPHRASE = "a passphrase of the shop"
WAITING = b'{"event":"nothing.known","sessionId":"12","data":{"from":"the spool"}}'


@dataclass
class Place:
    """A machine: a database, a data folder, and a media store in it."""

    dsn: str
    folder: Path
    terminal: Terminal

    @property
    def env(self) -> dict[str, str]:
        return {"DATABASE_URL": self.dsn, "GATEWAY_DATA_DIR": str(self.folder), **self._media}

    @property
    def _media(self) -> dict[str, str]:
        return {"GATEWAY_MEDIA_URL": self.media_url}

    @property
    def media_url(self) -> str:
        return (self.folder / "files").as_uri()

    async def backup(self, file: Path, *more: str, **env: str) -> Ended:
        environ = {**self.env, "GATEWAY_SECRET": SECRET, **env}
        return await self.terminal.run("backup", file, *more, env=environ, stdin=PASSPHRASE + "\n")

    async def restore(self, file: Path, *more: str, stdin: str = PASSPHRASE + "\n", **env: str) -> Ended:
        return await self.terminal.run("restore", file, *more, env={**self.env, **env}, stdin=stdin)

    @contextlib.asynccontextmanager
    async def gateway(self, **more: Any) -> AsyncIterator[Shop]:
        settings = settings_for(self.dsn, self.folder, media_url=self.media_url, **more)
        async with running(settings, timings=DEFAULT_TIMINGS) as gateway, shop_of(gateway, self.dsn) as shop:
            yield shop

    async def is_empty(self) -> bool:
        connection = await connect_direct(self.dsn)
        try:
            return not await connection.fetchval(
                "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE n.nspname IN ('public', 'gateway')"
            )
        finally:
            await connection.close()


@dataclass
class Before:
    """A gateway that was backed up while it worked, and what it had."""

    place: Place
    file: Path
    said: Ended
    session: int
    picture: bytes
    media_id: str
    epoch: str
    off: int
    rows: set[str]
    """Ids of messages that were answered before the backup began."""
    queued: str


def picture() -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (60, 40), (10, 120, 80)).save(held, "JPEG")
    return held.getvalue()


@contextlib.asynccontextmanager
async def waiting_webhook(place: Place) -> AsyncIterator[None]:
    """A webhook that came while Postgres was away; the gateway is kept from bringing it there."""
    connection = await connect_direct(place.dsn)
    installation = await connection.fetchval(
        "INSERT INTO gateway.settings (key, value) VALUES ('installation', to_jsonb(gen_random_uuid()))"
        " RETURNING value #>> '{}'"
    )
    await connection.close()
    spool = place.folder / "spool" / f"{installation}.sqlite"
    spool.parent.mkdir(parents=True)
    file = SpoolFile(spool)
    file.run([lambda db: insert(db, [(12, 1_700_000_000_000_000, WAITING, ("*",))])])
    file.close()
    with spool.with_suffix(".replayer").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def waiting_in(folder: Path) -> list[bytes]:
    (path,) = (folder / "spool").glob("*.sqlite")
    with contextlib.closing(sqlite3.connect(path)) as db:
        return [row[0] for row in db.execute("SELECT body FROM entries")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_before(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Before]:
    folder = tmp_path_factory.mktemp("before")
    async with clone(postgres, "migrated") as dsn:
        place = Place(dsn, folder / "data", Terminal(folder))
        async with waiting_webhook(place), place.gateway() as shop:
            post = await linked_number(shop)
            image = picture()
            media = await post.settled(await post.send(image))
            queued = await _queue(shop.gateway, post.session_id)
            file = folder / "shop.backup"
            stop = asyncio.Event()
            flood = asyncio.create_task(_flood(post, stop))
            await eventually(lambda: _count(shop), lambda count: count > 20)
            rows = {row["message_id"] for row in await shop.rows()}
            said = await place.backup(file)
            stop.set()
            await flood
            position = await shop.one(
                "SELECT epoch::text, off FROM gateway.inboxes WHERE inbox = $1", post.session_id
            )
        yield Before(
            place,
            file,
            said,
            post.session_id,
            image,
            media["id"],
            position["epoch"],
            position["off"],
            rows,
            queued,
        )


async def _queue(gateway: Running, session: int) -> str:
    """A message that waits to be sent for an hour."""
    in_an_hour = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"client_id": "later", "text": "In an hour", "send_at": in_an_hour}
    path = f"/api/conversations/15550002222/messages?session={session}"
    return str((await gateway.data("POST", path, body))["id"])


async def _count(shop: Shop) -> int:
    return int(await shop.db.fetchval(f"SELECT count(*) FROM {INCOMING}"))


async def _flood(post: Post, stop: asyncio.Event) -> None:
    number = 0
    while not stop.is_set():
        number += 1
        await post.send_wish({"text": f"message {number}"})


@dataclass
class After:
    """The same gateway on another machine."""

    place: Place
    said: Ended
    waited: list[bytes]
    shop: Shop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_after(
    shared_before: Before, postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[After]:
    folder = tmp_path_factory.mktemp("after")
    async with clone(postgres, "template1") as dsn:
        place = Place(dsn, folder / "data", Terminal(folder))
        said = await place.restore(shared_before.file)
        assert said.code == 0, said
        waited = waiting_in(place.folder)
        async with place.gateway() as shop:
            # As `gateway serve` does: the simulator sends webhooks to the new address from now on.
            await shop.gateway.gateway.services.webhook_watch.follow_public_url()
            yield After(place, said, waited, shop)


async def test_a_backup_is_for_its_owner_only_and_says_what_it_holds(shared_before: Before) -> None:
    assert shared_before.said.code == 0, shared_before.said
    assert "1 files of messages, 1 waiting webhooks" in shared_before.said.out
    assert stat.S_IMODE(shared_before.file.stat().st_mode) == 0o600
    assert not shared_before.file.with_name("shop.backup.part").exists()
    assert SECRET.encode() not in shared_before.file.read_bytes()


async def test_every_message_of_before_the_backup_is_there(
    shared_before: Before, shared_after: After
) -> None:
    there = {row["message_id"] for row in await shared_after.shop.rows()}
    assert shared_before.rows <= there


async def test_the_number_is_still_linked(shared_before: Before, shared_after: After) -> None:
    path = f"/api/whatsapp-sessions/{shared_before.session}"
    session = await shared_after.shop.gateway.data("GET", path + "?refresh=1")
    assert session["status"] == "connected"


async def test_a_customer_who_writes_now_is_heard(shared_before: Before, shared_after: After) -> None:
    post = Post(shared_after.shop, shared_before.session)
    key = await post.send_wish({"text": "Are you still there?"})
    there = "SELECT count(*) FROM whatsapp_incoming_messages WHERE wa_key_id = $1"
    await eventually(lambda: shared_after.shop.db.fetchval(there, key))


async def test_files_are_served(shared_before: Before, shared_after: After) -> None:
    post = Post(shared_after.shop, shared_before.session)
    status, body, _ = await post.get(shared_before.media_id)
    assert (status, sha256(body)) == (200, sha256(shared_before.picture))


async def test_a_client_that_comes_back_with_its_offset_is_told_reset(
    shared_before: Before, shared_after: After
) -> None:
    async with shared_after.shop.gateway.socket() as socket:
        topic = f"inbox:{shared_before.session}"
        await socket.subscribe(topic, after={"off": shared_before.off, "epoch": shared_before.epoch})
    (reset,) = [frame for frame in socket.frames if frame["type"] == "reset"]
    assert reset["reason"] == "epoch_changed"


async def test_what_waited_to_be_sent_is_for_people_to_judge(
    shared_before: Before, shared_after: After
) -> None:
    row = await shared_after.shop.one(
        f"SELECT status, error_code FROM {OUTGOING} WHERE id = $1", int(shared_before.queued)
    )
    assert row == {"status": "unknown", "error_code": "restored"}
    sends = await shared_after.shop.gateway.data("GET", "/_simulator/sends", token="")
    assert [send for send in sends if send.get("text") == "In an hour"] == []


async def test_what_waited_in_the_spool_is_taken_once(shared_after: After) -> None:
    assert shared_after.waited == [WAITING]
    asked = "SELECT count(*) FROM gateway.journal WHERE event = 'nothing.known'"
    await eventually(lambda: shared_after.shop.db.fetchval(asked), lambda count: count == 1)
    await eventually(lambda: _ready(shared_after.shop), lambda status: status == "ready")
    assert await shared_after.shop.db.fetchval(asked) == 1


async def _ready(shop: Shop) -> str:
    return str((await shop.gateway.call("GET", "/readyz", token=""))[1]["status"])


async def test_the_secrets_are_in_the_data_folder_for_its_owner_only(shared_after: After) -> None:
    secret, env = (shared_after.place.folder / name for name in ("secret", "restored.env"))
    assert secret.read_text().strip() == SECRET
    assert f"GATEWAY_SECRET={SECRET}" in env.read_text()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (secret, env)} == {0o600}


async def test_a_database_with_a_gateway_on_it_is_refused(shared_before: Before, shared_after: After) -> None:
    said = await shared_after.place.restore(shared_before.file, "--overwrite")
    assert "A gateway runs on the database" in said.complaint()


# ------------------------------------------------------------------------------------------ mistakes


@pytest_asyncio.fixture
async def elsewhere(empty_database: str, tmp_path: Path) -> Place:
    return Place(empty_database, tmp_path / "data", Terminal(tmp_path))


async def nothing_happened(place: Place) -> bool:
    left = [path for path in place.folder.rglob("*") if path.is_file() and path.name != "gateway-media.json"]
    return left == [] and await place.is_empty()


async def test_a_wrong_passphrase_is_one_sentence(shared_before: Before, elsewhere: Place) -> None:
    said = await elsewhere.restore(shared_before.file, stdin="another\n")
    assert said.complaint() == "The passphrase is not the one of this backup."
    assert await nothing_happened(elsewhere)


async def test_no_passphrase_is_one_sentence(shared_before: Before, elsewhere: Place) -> None:
    said = await elsewhere.restore(shared_before.file, stdin="")
    assert "There is no passphrase" in said.complaint()


async def test_a_cut_file_is_one_sentence(shared_before: Before, elsewhere: Place, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    cut.write_bytes(shared_before.file.read_bytes()[:-1])
    assert "is not whole" in (await elsewhere.restore(cut)).complaint()
    assert await nothing_happened(elsewhere)


async def test_what_is_no_backup_is_one_sentence(elsewhere: Place, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("PGDMP and more")
    assert "is no backup" in (await elsewhere.restore(other)).complaint()
    assert "cannot be used" in (await elsewhere.restore(tmp_path / "nowhere")).complaint()


async def test_a_database_that_holds_something_is_overwritten_only_when_told_so(
    shared_before: Before, shop_database: str, tmp_path: Path
) -> None:
    place = Place(shop_database, tmp_path / "data", Terminal(tmp_path))

    refused = await place.restore(shared_before.file)

    assert "is not empty: it holds" in refused.complaint()
    assert "customers" in refused.err
    assert not place.folder.exists()
    done = await place.restore(shared_before.file, "--overwrite")
    assert done.code == 0, done
    connection = await connect_direct(shop_database)
    there = await connection.fetchval("SELECT to_regclass('customers')")
    count = await connection.fetchval(f"SELECT count(*) FROM {INCOMING}")
    await connection.close()
    assert there is None
    assert count >= len(shared_before.rows)


async def test_a_restore_that_fails_in_postgres_leaves_nothing(
    shared_before: Before, elsewhere: Place
) -> None:
    connection = await connect_direct(elsewhere.dsn)
    # No relation of ours, so the database counts as empty; and in the way of what is restored.
    await connection.execute("CREATE SCHEMA gateway")
    await connection.close()

    said = await elsewhere.restore(shared_before.file)

    assert "Nothing was restored" in said.complaint()
    assert "already exists" in said.err
    assert await nothing_happened(elsewhere)


async def test_another_secret_is_one_sentence(shared_before: Before, elsewhere: Place) -> None:
    other = "another-secret-of-at-least-32-characters"
    said = await elsewhere.restore(shared_before.file, GATEWAY_SECRET=other)
    assert "GATEWAY_SECRET is not the one of the backup" in said.complaint()
    assert await nothing_happened(elsewhere)


async def test_checking_changes_nothing(shared_before: Before, elsewhere: Place) -> None:
    said = await elsewhere.restore(shared_before.file, "--check")
    assert said.code == 0, said
    assert "A whole backup of gateway" in said.out
    assert await nothing_happened(elsewhere)


async def test_a_backup_that_cannot_be_made_leaves_no_file(
    shared_before: Before, elsewhere: Place, tmp_path: Path
) -> None:
    place = shared_before.place
    there = await place.backup(shared_before.file)
    assert "is there already" in there.complaint()
    assert "cannot be used" in (await place.backup(tmp_path / "no" / "folder")).complaint()
    other = await place.backup(tmp_path / "b", GATEWAY_SECRET="another-secret-of-at-least-32-characters")
    assert "GATEWAY_SECRET is not the one" in other.complaint()
    assert "holds nothing of a gateway" in (await elsewhere.backup(tmp_path / "b")).complaint()
    full = await place.backup(Path("/dev/full/b"))
    assert full.complaint()
    assert os.listdir(tmp_path) == []


async def test_a_full_disk_is_one_sentence(shared_before: Before, tmp_path: Path) -> None:
    def little() -> None:
        import resource
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    env = {**shared_before.place.env, "GATEWAY_SECRET": SECRET}
    file = tmp_path / "b"
    said = await Terminal(tmp_path).run("backup", file, env=env, stdin=PASSPHRASE, before=little)
    assert said.code == 2, said
    assert len(said.err.splitlines()) == 1, said
    assert os.listdir(tmp_path) == []


async def test_rights_that_are_missing_are_one_sentence(
    shared_before: Before, limited_role: Any, tmp_path: Path
) -> None:
    dsn = limited_role.dsn(shared_before.place.dsn)
    env = {**shared_before.place.env, "GATEWAY_SECRET": SECRET, "DATABASE_URL": dsn}
    said = await Terminal(tmp_path).run("backup", tmp_path / "b", env=env, stdin=PASSPHRASE)
    assert "permission denied" in said.complaint()
    assert os.listdir(tmp_path) == []


async def test_a_server_newer_than_the_programs_is_one_sentence(
    shared_before: Before, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "major", lambda: 17)
    place = shared_before.place
    settings = settings_for(place.dsn, place.folder, media_url=place.media_url)
    with pytest.raises(
        ConfigError, match="The server is PostgreSQL 18, and this gateway brings the pg_dump of 17"
    ):
        await actions.back_up(settings, tmp_path / "b", PASSPHRASE, with_media=True)
    assert os.listdir(tmp_path) == []


async def test_a_backup_of_a_newer_gateway_is_one_sentence(
    shared_before: Before, elsewhere: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restoring, "read_migrations", lambda folder: [])
    settings = settings_for(elsewhere.dsn, elsewhere.folder, media_url=elsewhere.media_url)
    with pytest.raises(
        ConfigError, match=r"of a newer gateway \(0001_gateway_schema.sql is not known here\)"
    ):
        await restoring.restore(
            settings, shared_before.file, lambda: PASSPHRASE, overwrite=False, only_check=False
        )
    assert await nothing_happened(elsewhere)
