"""Files that people upload to send: told apart by their bytes, bounded, gone if nothing comes of them."""

import asyncio
import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gateway.domain.access import Role
from tests.http.media_parts import Post, linked_number
from tests.http.support import Shop, opened
from tests.launcher.running import running
from tests.launcher.settings import settings_for
from tests.little_files import LITTLE, recording


async def upload(
    shop: Shop, body: Any, declared: str | None = None, *, token: str | None = None, query: str = ""
) -> tuple[int, Any]:
    bearer = shop.gateway.token() if token is None else token
    headers = {"Authorization": f"Bearer {bearer}", **({"Content-Type": declared} if declared else {})}
    data = io.BytesIO(body) if isinstance(body, bytes) else body
    async with shop.http.post(f"{shop.gateway.url}/api/media{query}", data=data, headers=headers) as reply:
        return reply.status, json.loads(await reply.text())


async def get(shop: Shop, path: str, token: str | None = None) -> tuple[int, bytes, Any]:
    bearer = shop.gateway.token() if token is None else token
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    async with shop.http.get(shop.gateway.url + path, headers=headers) as reply:
        return reply.status, await reply.read(), reply.headers


@pytest.mark.parametrize("name", sorted(LITTLE))
async def test_a_file_is_what_its_bytes_are(empty_shop: Shop, name: str) -> None:
    little = LITTLE[name]

    status, said = await upload(empty_shop, little.content, query=f"?name={name}")

    assert status == 201, said
    data = said["data"]
    assert (data["mime"], data["kind"], data["bytes"]) == (little.mime, little.kind, len(little.content))
    status, body, headers = await get(empty_shop, f"/api/media/{data['id']}")
    assert (status, body) == (200, little.content)
    assert headers["Content-Disposition"].startswith("inline" if little.is_shown else "attachment")
    assert headers["Content-Type"] == (little.mime if little.is_shown else "application/octet-stream")


@pytest.mark.parametrize(
    ("name", "declared"),
    [
        ("a.png", "image/jpeg"), ("a.html", "image/png"), ("a.exe", "video/mp4"), ("a.svg", "image/png"),
        ("a.pdf", "image/jpeg"), ("a.mp4", "audio/ogg"), ("a.zip", "application/pdf"), ("a.jpg", "application/pdf"),
        ("a.html", "application/pdf"), ("a.ogg", "video/mp4"),
    ],
)  # fmt: skip
async def test_a_file_that_is_called_another_kind_is_refused_with_one_sentence(
    empty_shop: Shop, name: str, declared: str
) -> None:
    status, said = await upload(empty_shop, LITTLE[name].content, declared)

    assert (status, said["code"]) == (422, "invalid")
    assert declared in said["error"]
    assert said["error"].count(".") <= 2
    assert await empty_shop.db.fetchval("SELECT count(*) FROM gateway.media") == 0


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.9], ids=["a third", "nearly all"])
async def test_a_picture_of_which_a_part_is_missing_is_refused_with_one_sentence(
    empty_shop: Shop, form: str, share: float
) -> None:
    held = io.BytesIO()
    Image.effect_noise((64, 64), 90).save(held, form)
    whole = held.getvalue()

    status, said = await upload(empty_shop, whole[: int(len(whole) * share)])
    assert (status, said["code"]) == (422, "invalid")
    assert (
        said["error"]
        == "The picture is broken: part of it is missing. Save or export it again, and send that."
    )
    assert (await upload(empty_shop, whole))[0] == 201


async def test_what_says_nothing_of_its_type_is_taken(empty_shop: Shop) -> None:
    for declared in (None, "application/octet-stream", "image/jpeg; charset=binary", "IMAGE/JPG"):
        status, said = await upload(empty_shop, LITTLE["a.jpg"].content, declared)
        assert status == 201, said
    assert (await upload(empty_shop, LITTLE["a.docx"].content, LITTLE["a.docx"].mime))[0] == 201


async def test_bad_uploads_get_one_sentence_each_and_leave_nothing(empty_shop: Shop) -> None:
    shop = empty_shop
    status, said = await upload(shop, b"")
    assert (status, said["error"]) == (422, "The file is empty.")
    status, said = await upload(shop, LITTLE["a.jpg"].content + bytes(16 * 1024 * 1024))
    assert (status, said["code"]) == (413, "too_large")
    assert "16 MiB" in said["error"]
    status, said = await upload(shop, _endless(LITTLE["a.jpg"].content))
    assert status == 413
    viewer = shop.gateway.token(Role.VIEWER)
    assert (await upload(shop, LITTLE["a.jpg"].content, token=viewer))[0] == 403
    await _break_off(shop)
    assert await shop.db.fetchval("SELECT count(*) FROM gateway.media") == 0
    assert await shop.db.fetchval("SELECT count(*) FROM gateway.blobs") == 0


async def _endless(head: bytes) -> Any:
    yield head
    for _ in range(400):
        yield bytes(64 * 1024)


async def _break_off(shop: Shop) -> None:
    """Half of a body, then nothing more and no connection."""
    host, port = shop.gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        f"POST /api/media HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {shop.gateway.token()}\r\n"
        "Content-Length: 1000000\r\n\r\n".encode()
        + LITTLE["a.jpg"].content
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await asyncio.wait_for(reader.read(), 10)


async def test_an_upload_is_its_makers_until_it_is_sent(empty_shop: Shop) -> None:
    status, said = await upload(empty_shop, LITTLE["a.jpg"].content)
    media_id = said["data"]["id"]
    limited = empty_shop.gateway.token(Role.AGENT, {12})

    assert status == 201
    assert (await get(empty_shop, f"/api/media/{media_id}"))[0] == 200
    assert (await get(empty_shop, f"/api/media/{media_id}", token=""))[0] == 401
    bound = await empty_shop.db.fetchval(
        "SELECT gateway.bind_media_v1($1::uuid, 'another', 12, 'x')", media_id
    )
    assert bound is None
    bound = await empty_shop.db.fetchval(
        "SELECT gateway.bind_media_v1($1::uuid, 'tester', 12, 'x')", media_id
    )
    assert (bound["id"], bound["state"], bound["kind"]) == (media_id, "stored", "image")
    again = await empty_shop.db.fetchval(
        "SELECT gateway.bind_media_v1($1::uuid, 'tester', 12, 'y')", media_id
    )
    assert again is None
    assert (await get(empty_shop, f"/api/media/{media_id}", token=limited))[0] == 200


@pytest.mark.parametrize("container", ["webm", "mp4"])
async def test_a_voice_note_of_a_browser_becomes_ogg(empty_shop: Shop, container: str) -> None:
    status, said = await upload(empty_shop, recording(container), f"audio/{container};codecs=opus")

    assert status == 201, said
    assert (said["data"]["kind"], said["data"]["mime"]) == ("audio", "audio/ogg")
    body = (await get(empty_shop, f"/api/media/{said['data']['id']}"))[1]
    assert body.startswith(b"OggS")
    assert b"OpusHead" in body[:128]


# ------------------------------------------------------------------------------------------ old clients


async def test_an_old_client_uploads_as_to_wasenderapi(empty_shop: Shop) -> None:
    shop, content = empty_shop, LITTLE["a.jpg"].content
    token = shop.gateway.token(Role.AGENT, {12})
    address = shop.gateway.url + "/api/upload"
    headers = {"Authorization": f"Bearer {token}"}
    async with shop.http.post(
        address, data=content, headers={**headers, "Content-Type": "image/jpeg"}
    ) as reply:
        said = await reply.json()
    assert said["success"] is True
    async with shop.http.get(said["publicUrl"]) as reply:
        assert await reply.read() == content
    coded = {"base64": "data:image/jpeg;base64," + base64.b64encode(content).decode()}
    async with shop.http.post(address, json=coded, headers=headers) as reply:
        assert (await reply.json())["success"] is True
    async with shop.http.post(address, json={"base64": "?"}, headers=headers) as reply:
        assert (reply.status, (await reply.json())["errors"]) == (
            422,
            {"base64": ["The base64 field is not valid."]},
        )
    everything = {"Authorization": f"Bearer {shop.gateway.token()}"}
    async with shop.http.post(address, data=content, headers=everything) as reply:
        assert reply.status == 403


async def test_an_old_client_decrypts_what_we_have_already(empty_shop: Shop) -> None:
    post: Post = await linked_number(empty_shop)
    content = LITTLE["a.jpg"].content
    key = await post.send(content)
    await post.settled(key)
    raw = await empty_shop.db.fetchval(
        "SELECT raw_data FROM whatsapp_incoming_messages WHERE wa_key_id = $1", key
    )
    token = empty_shop.gateway.token(Role.AGENT, {post.session_id})

    status, said = await empty_shop.gateway.call(
        "POST", "/api/decrypt-media", {"data": {"messages": raw}}, token=token
    )

    assert (status, said["success"]) == (200, True)
    async with empty_shop.http.get(said["publicUrl"]) as reply:
        assert await reply.read() == content
    status, said = await empty_shop.gateway.call("POST", "/api/decrypt-media", {"data": 1}, token=token)
    assert status == 422


async def test_a_viewer_makes_upstream_decrypt_so_often_as_any_other_work(
    database: str, tmp_path: Path
) -> None:
    settings = settings_for(database, tmp_path, upstream_per_min=2)
    async with running(settings) as gateway, opened(gateway, database) as shop:
        post: Post = await linked_number(shop)
        key = await post.send(LITTLE["a.jpg"].content)
        await post.settled(key)
        raw = await shop.db.fetchval(
            "SELECT raw_data FROM whatsapp_incoming_messages WHERE wa_key_id = $1", key
        )
        token = gateway.token(Role.VIEWER, {post.session_id})

        async def decrypt(key_id: str) -> int:
            item = {**raw, "key": {**raw["key"], "id": key_id}}
            status, _ = await gateway.call(
                "POST", "/api/decrypt-media", {"data": {"messages": item}}, token=token
            )
            return int(status)

        assert [await decrypt(name) for name in ("X1", "X2", "X3")] == [200, 200, 429]
        assert await decrypt(key) == 200
