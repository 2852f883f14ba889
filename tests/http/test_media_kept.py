"""Files that are not wanted any more go; a store that the other gateways do not have is refused; S3 holds the same."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import pytest_asyncio
from moto.server import ThreadedMotoServer

from gateway.cli.actions import media as actions
from gateway.domain.errors import ConfigError
from gateway.postgres.media.keep import MediaKeepTable
from gateway.runtime.gateway import open_gateway
from gateway.services.media.files import MediaFiles
from gateway.services.media.keeper import Keeper
from gateway.simulator.files import made_up
from tests.http.media_parts import Post, linked_number, sha256
from tests.http.support import Shop, eventually, opened
from tests.http.test_media_uploads import upload
from tests.launcher.running import running
from tests.launcher.settings import settings_for
from tests.little_files import LITTLE, picture


@pytest_asyncio.fixture
async def post(empty_shop: Shop) -> Post:
    return await linked_number(empty_shop)


async def sweep(shop: Shop, keeper: Keeper | None = None) -> None:
    await shop.db.execute("UPDATE gateway.blobs SET made_at = made_at - interval '2 hours'")
    await (keeper or shop.gateway.gateway.media.media_keeper).sweep()


def keeping(shop: Shop, days: float) -> Keeper:
    """A keeper beside the gateway's own, which keeps files for so many days."""
    gateway = shop.gateway.gateway
    return Keeper(MediaKeepTable(gateway.repositories.pool), gateway.media.files, days=days)


async def stored(shop: Shop, content: bytes) -> int | None:
    return await shop.gateway.gateway.media.files.has(sha256(content))


async def test_an_upload_that_no_message_takes_is_gone_after_a_day(empty_shop: Shop) -> None:
    content = LITTLE["a.jpg"].content
    _, said = await upload(empty_shop, content)
    await sweep(empty_shop)
    assert await stored(empty_shop, content) == len(content)

    await empty_shop.db.execute("UPDATE gateway.media SET made_at = made_at - interval '25 hours'")
    await sweep(empty_shop)

    assert await stored(empty_shop, content) is None
    assert (await empty_shop.gateway.call("GET", f"/api/media/{said['data']['id']}"))[0] == 404
    assert await empty_shop.db.fetchval("SELECT count(*) FROM gateway.blobs") == 0


async def test_files_older_than_the_shop_keeps_them_go_and_their_messages_say_so(post: Post) -> None:
    content = picture("JPEG", (40, 30))
    key = await post.send(content)
    media = await post.settled(key)
    keeper = keeping(post.shop, days=30.0)
    await sweep(post.shop, keeper)
    assert (await post.row(key))["state"] == "stored"

    await post.shop.db.execute("UPDATE gateway.media SET settled_at = settled_at - interval '31 days'")
    async with post.shop.gateway.socket() as socket:
        await socket.subscribe(f"inbox:{post.session_id}")
        await sweep(post.shop, keeper)
        updated = await socket.event("message.updated")

    assert updated["data"]["media"]["state"] == "lost"
    assert "30 days" in updated["data"]["media"]["reason"]
    assert (await post.get(media["id"]))[0] == 404
    assert await stored(post.shop, content) is None


async def test_an_erased_file_is_gone_at_once_unless_another_message_has_it(post: Post) -> None:
    content = picture("JPEG", (41, 30))
    one, two = [await post.settled(await post.send(content)) for _ in range(2)]
    assert (await post.get(one["id"], "?size=thumb"))[0] == 200
    keeper = post.shop.gateway.gateway.media.media_keeper

    await keeper.erase([one["id"]])
    assert (await post.get(one["id"]))[0] == 404
    assert (await post.get(two["id"]))[1] == content
    await keeper.erase([two["id"]])

    files = post.shop.gateway.gateway.media.files
    assert await stored(post.shop, content) is None
    assert await files.thumb(sha256(content)) is None
    assert await post.shop.db.fetchval("SELECT count(*) FROM gateway.media") == 0


async def test_a_file_whose_message_was_deleted_goes(post: Post) -> None:
    content = picture("JPEG", (42, 30))
    await post.settled(await post.send(content))
    await post.shop.db.execute("DELETE FROM whatsapp_incoming_messages")
    await post.shop.db.execute("UPDATE gateway.media SET made_at = made_at - interval '2 hours'")

    await sweep(post.shop)

    assert await stored(post.shop, content) is None


async def test_the_same_file_comes_again_while_it_is_removed(post: Post) -> None:
    content = picture("JPEG", (43, 30))
    await post.shop.db.execute(
        "INSERT INTO gateway.blobs (sha256, bytes, mime, is_stored, is_going, going_at)"
        " VALUES ($1, 1, 'image/jpeg', true, true, now())",
        sha256(content),
    )
    key = await post.send(content)
    await eventually(lambda: post.shop.db.fetchval("SELECT error FROM gateway.media"))
    assert (await post.row(key))["state"] == "pending"

    await post.shop.db.execute("DELETE FROM gateway.blobs")

    media = await post.settled(key)
    assert (await post.get(media["id"]))[1] == content


async def test_a_lost_file_is_asked_for_once_more(post: Post, capsys: pytest.CaptureFixture[str]) -> None:
    content = picture("JPEG", (44, 30))
    fault = {"path": "/decrypt-media", "status": 404, "times": 1}
    await post.shop.gateway.data("POST", "/_simulator/faults", fault, token="")
    key = await post.send(content, status=404)
    assert (await post.settled(key))["state"] == "lost"
    settings = post.shop.gateway.gateway.settings

    await actions.show_state(settings)
    await actions.retry(settings, None)

    said = capsys.readouterr().out
    assert "lost: 1 files" in said
    assert "1 files are asked for once more." in said
    post.shop.gateway.gateway.media.media_fetcher.notify()
    media = await eventually(lambda: post.row(key), lambda row: row["state"] == "stored")
    assert "reason" not in media
    with pytest.raises(ConfigError, match="An id of a file"):
        await actions.retry(settings, ["x"])


# ------------------------------------------------------------------------------------------ one store for all


async def start(database: str, folder: Path, url: str) -> None:
    """Starts a gateway, and ends it."""
    async with open_gateway(settings_for(database, folder, media_url=url), "http://127.0.0.1:1"):
        pass


async def test_a_gateway_with_another_media_folder_does_not_start_beside_a_running_one(
    database: str, tmp_path: Path
) -> None:
    first, second = ((tmp_path / name).as_uri() for name in ("one", "two"))
    async with running(settings_for(database, tmp_path / "a", media_url=first)):
        with pytest.raises(ConfigError, match="GATEWAY_MEDIA_URL"):
            await start(database, tmp_path / "b", second)
        await start(database, tmp_path / "b", first)
    await start(database, tmp_path / "b", second)  # alone it may have another one


async def test_a_media_folder_of_another_database_is_refused(
    database: str, empty_database: str, tmp_path: Path
) -> None:
    url = (tmp_path / "store").as_uri()
    await start(database, tmp_path / "a", url)
    with pytest.raises(ConfigError, match="another database's"):
        await start(empty_database, tmp_path / "b", url)


# ------------------------------------------------------------------------------------------ S3


_buckets = itertools.count(1)


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a bucket at a real S3 server of this process."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": endpoint,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    client: Any = boto3.client("s3")
    name = f"files-{next(_buckets)}"  # the server's buckets outlive it
    client.create_bucket(Bucket=name)
    client.close()
    try:
        yield f"s3://{name}/shop"
    finally:
        server.stop()


@contextlib.asynccontextmanager
async def shop_in(database: str, folder: Path, url: str) -> AsyncIterator[Shop]:
    async with (
        running(settings_for(database, folder, media_url=url)) as gateway,
        opened(gateway, database) as shop,
    ):
        yield shop


async def test_files_are_kept_in_s3_in_parts_too(bucket: str, database: str, tmp_path: Path) -> None:
    async with shop_in(database, tmp_path, bucket) as shop:
        post = await linked_number(shop)
        small, large = picture("JPEG", (400, 300)), b"".join(made_up(12_000_000))  # three parts

        one = await post.settled(await post.send(small))
        two = await post.settled(await post.send_wish({"media": {"kind": "document", "bytes": len(large)}}))

        assert (await post.get(one["id"]))[1] == small
        served = (await post.get(two["id"]))[1]
        assert (len(served), two["bytes"], sha256(served)) == (len(large), len(large), sha256(large))
        assert (await post.get(two["id"], Range="bytes=9000000-9000009"))[1] == large[9_000_000:9_000_010]
        assert (await post.get(one["id"], "?size=thumb"))[0] == 200
        await shop.gateway.gateway.media.media_keeper.erase([one["id"]])
        assert await stored(shop, small) is None


async def test_a_store_that_is_away_puts_files_off_and_says_so_to_those_who_ask(
    bucket: str, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop_in(database, tmp_path, bucket) as shop:
        post = await linked_number(shop)
        kept = await post.settled(await post.send(picture("JPEG", (50, 30))))
        client: Any = boto3.client("s3")
        name = bucket.removeprefix("s3://").partition("/")[0]
        for item in client.list_objects_v2(Bucket=name)["Contents"]:
            client.delete_object(Bucket=name, Key=item["Key"])
        client.delete_bucket(Bucket=name)
        client.close()

        status, _, _ = await post.get(kept["id"])
        key = await post.send(picture("JPEG", (51, 30)))
        error = await eventually(
            lambda: shop.db.fetchval("SELECT error FROM gateway.media WHERE state = 'pending'")
        )

    assert status in (404, 503)
    assert "media store" in error
    assert key


async def test_files_move_to_another_store_and_are_checked_on_the_way(
    bucket: str, database: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = (tmp_path / "store").as_uri()
    async with shop_in(database, tmp_path / "data", folder) as shop:
        post = await linked_number(shop)
        contents = [picture("JPEG", (60 + number, 30)) for number in range(3)]
        medias = [await post.settled(await post.send(content)) for content in contents]
        broken = tmp_path / "store" / "blobs" / sha256(contents[0])[:2] / sha256(contents[0])
        whole = broken.read_bytes()
        broken.write_bytes(whole[:-1])

        await actions.move(shop.gateway.gateway.settings, bucket)
        first = capsys.readouterr()
        broken.write_bytes(whole)
        await actions.move(shop.gateway.gateway.settings, bucket)
        second = capsys.readouterr()

        # Both are one store: a gateway on the new one starts beside the old one.
        async with shop_in(database, tmp_path / "new", bucket) as other:
            moved = Post(other, post.session_id)
            for content, media in zip(contents, medias, strict=True):
                assert (await moved.get(media["id"]))[1] == content
    assert "2 files were copied" in first.out
    assert sha256(contents[0]) in first.err
    assert "1 files were copied" in second.out


async def test_an_address_that_is_no_store_is_answered_with_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for url in ((tmp_path / "file").as_uri(), "http://x/y", "s3://"):
        with pytest.raises(ConfigError) as refused:
            MediaFiles.at(url)
        assert refused.value.message.count("\n") == 0
    await asyncio.sleep(0)
