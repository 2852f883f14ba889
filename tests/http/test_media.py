"""Files of messages, from the webhook to the browser: fetched, opened, checked, stored, given out."""

import asyncio
import io
import json
import random

import pytest
import pytest_asyncio
from PIL import Image

from gateway.domain.access import Role
from tests.http.media_parts import Post, linked_number, sha256
from tests.http.support import Shop, eventually


@pytest_asyncio.fixture
async def post(empty_shop: Shop) -> Post:
    return await linked_number(empty_shop)


def picture(width: int = 900, height: int = 600, form: str = "JPEG", noise: int = 0) -> bytes:
    made = Image.new("RGB", (width, height), (noise % 255, 120, 80))
    made.putpixel((noise % width, 0), (255, 0, 0))
    held = io.BytesIO()
    made.save(held, form)
    return held.getvalue()


async def test_a_picture_is_fetched_opened_and_served(post: Post) -> None:
    content = picture()

    media = await post.settled(await post.send(content, mime="image/jpeg"))

    assert media["state"] == "stored", media
    assert (media["kind"], media["mime"], media["bytes"]) == ("image", "image/jpeg", len(content))
    assert (media["width"], media["height"]) == (900, 600)
    status, body, headers = await post.get(media["id"])
    assert (status, sha256(body)) == (200, sha256(content))
    assert headers["Content-Type"] == "image/jpeg"
    assert headers["Content-Disposition"].startswith("inline")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("sandbox")
    assert headers["Cache-Control"].startswith("private")


@pytest.mark.parametrize("kind", ["image", "video", "audio", "document", "sticker"])
async def test_every_kind_of_file_comes_as_it_was_sent(post: Post, kind: str) -> None:
    key = await post.send_wish({"media": {"kind": kind}})

    media = await post.settled(key)

    assert media["state"] == "stored", media
    assert media["kind"] == kind
    status, body, _ = await post.get(media["id"])
    assert status == 200
    assert len(body) == media["bytes"]


async def test_what_the_sender_says_of_a_file_is_there_at_once_and_bounded(post: Post) -> None:
    wave = list(range(64))
    key = await post.send(b"OggS" + bytes(100), "audio", seconds=7, voice=True, waveform=wave)
    first = await eventually(lambda: post.row(key))
    assert (first["kind"], first["seconds"], first["waveform"]) == ("audio", 7, wave)
    loud = base_noise(200, 200)
    key = await post.send(picture(), jpegThumbnail=loud)
    preview = (await eventually(lambda: post.row(key)))["preview"]
    assert preview.startswith("data:image/jpeg;base64,")
    assert len(preview) <= 2048


def base_noise(width: int, height: int) -> str:
    import base64

    noise = random.Random(1).randbytes(width * height * 3)
    held = io.BytesIO()
    Image.frombytes("RGB", (width, height), noise).save(held, "JPEG", quality=90)
    return base64.b64encode(held.getvalue()).decode()


async def test_the_state_of_a_file_reaches_browsers_as_an_update(post: Post) -> None:
    async with post.shop.gateway.socket() as socket:
        await socket.subscribe(f"inbox:{post.session_id}")

        key = await post.send(picture(noise=3))

        created = await socket.event("message.created")
        updated = await socket.event("message.updated")
    assert created["data"]["media"]["state"] == "pending"
    assert updated["data"]["media"]["state"] == "stored"
    assert updated["data"]["media"]["id"] == created["data"]["media"]["id"]
    assert (await post.row(key))["id"] == created["data"]["media"]["id"]
    assert "source" not in json.dumps([created, updated])
    assert "mediaKey" not in json.dumps([created, updated])


@pytest.mark.parametrize("status", [403, 404, 410])
async def test_what_the_host_does_not_give_is_asked_of_upstream(post: Post, status: int) -> None:
    content = picture(noise=status)

    media = await post.settled(await post.send(content, status=status))

    assert media["state"] == "stored", media
    assert (await post.get(media["id"]))[1] == content


@pytest.mark.parametrize(
    ("trouble", "why"),
    [("wrong_key", "HMAC"), ("wrong_hash", "hash"), ("changed", "MAC|HMAC|whole"), ("lost", "not found")],
)
async def test_a_file_that_cannot_be_had_is_lost_for_a_reason(post: Post, trouble: str, why: str) -> None:
    media = await post.settled(await post.send(picture(), troubles=[trouble]))

    assert media["state"] == "lost"
    assert any(word.lower() in media["reason"].lower() for word in why.split("|")), media["reason"]
    status, body, _ = await post.get(media["id"])
    assert status == 404
    assert media["reason"] in json.loads(body)["error"]


@pytest.mark.parametrize("trouble", ["wrong_enc_hash", "redirect", "endless", "no_hashes"])
async def test_a_file_that_upstream_has_whole_is_taken_from_there(post: Post, trouble: str) -> None:
    content = picture(noise=7)

    media = await post.settled(await post.send(content, troubles=[trouble]))

    assert media["state"] == "stored", media
    assert (await post.get(media["id"]))[1] == content


async def test_a_host_that_cuts_the_connection_is_tried_again_and_shows_nothing_meanwhile(
    post: Post,
) -> None:
    key = await post.send(picture(), troubles=["cut"])

    error = await eventually(lambda: post.shop.db.fetchval("SELECT error FROM gateway.media"))

    assert "broke" in error
    media = await post.row(key)
    assert media["state"] == "pending"
    assert (await post.get(media["id"]))[0] == 409


async def test_the_same_file_twice_is_stored_once(post: Post) -> None:
    content = picture(noise=11)

    first = await post.settled(await post.send(content))
    second = await post.settled(await post.send(content))

    assert first["id"] != second["id"]
    assert await post.shop.db.fetchval("SELECT count(*) FROM gateway.blobs") == 1
    assert (await post.get(first["id"]))[1] == (await post.get(second["id"]))[1] == content


async def test_a_redelivered_message_keeps_its_file(post: Post) -> None:
    key = await post.send(picture(noise=12))
    before = await post.settled(key)
    raw = await post.shop.db.fetchval(
        "SELECT raw_data FROM whatsapp_incoming_messages WHERE wa_key_id = $1", key
    )
    secret = await post.shop.gateway.data("GET", f"/api/whatsapp-sessions/{post.session_id}?reveal=secrets")

    status, _ = await post.shop.post(
        {"event": "messages.received", "data": {"messages": raw}}, secret=secret["webhook_secret"]
    )

    assert status == 200
    assert await post.row(key) == before
    assert await post.shop.db.fetchval("SELECT count(*) FROM gateway.media") == 1


async def test_parts_of_a_file_can_be_asked_for(post: Post) -> None:
    content = random.Random(2).randbytes(300_000)
    media = await post.settled(await post.send(content, "document", name="a.bin"))
    for wish, part in {
        "bytes=0-9": content[:10],
        "bytes=100000-": content[100_000:],
        "bytes=-7": content[-7:],
        "bytes=299999-500000": content[-1:],
        "Bytes= 0-0 ": content[:1],
        "bytes=0-": content,
        "bytes=0-99999999999999999999999": content,
        f"bytes={'0' * 5000}7-7": content[7:8],
    }.items():
        status, body, headers = await post.get(media["id"], Range=wish)
        assert (status, body) == (206, part), wish
        assert headers["Content-Range"].endswith("/300000")
    assert (await post.get(media["id"], Range="bytes=300000-"))[0] == 416
    for odd in ("bytes=5-2", "lines=0-1", "bytes=0-1,3-4", "bytes=-", "bytes=1 2-5"):
        assert (await post.get(media["id"], Range=odd))[:2] == (200, content), odd
    etag = (await post.get(media["id"]))[2]["ETag"]
    assert (await post.get(media["id"], **{"If-None-Match": etag}))[:2] == (304, b"")
    old = await post.get(media["id"], Range="bytes=0-9", **{"If-Range": '"another"'})
    assert (old[0], len(old[1])) == (200, 300_000)


async def test_what_a_browser_could_run_is_saved_and_never_shown(post: Post) -> None:
    page = b"<html><script>alert(1)</script></html>"
    for name, mime in (
        ("seite.html", "text/html"),
        ("Rechnung Ü.pdf", "application/pdf"),
        ('a"b\r\n.svg', "image/svg+xml"),
    ):
        media = await post.settled(await post.send(page, "document", name=name, mime=mime))
        status, body, headers = await post.get(media["id"])
        assert (status, body) == (200, page)
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["Content-Disposition"].startswith("attachment")
    media = await post.settled(await post.send(page, "image", mime="image/png"))  # says that it is a picture
    assert (await post.get(media["id"]))[2]["Content-Type"] == "application/octet-stream"
    media = await post.settled(await post.send(page, "document", name="Rechnung Ü.pdf"))
    disposition = (await post.get(media["id"]))[2]["Content-Disposition"]
    assert disposition == "attachment; filename=\"Rechnung _.pdf\"; filename*=UTF-8''Rechnung%20%C3%9C.pdf"


async def test_a_small_picture_is_made_once(post: Post) -> None:
    media = await post.settled(await post.send(picture(2000, 1000, noise=4)))

    bodies = await asyncio.gather(*(post.get(media["id"], "?size=thumb") for _ in range(5)))

    assert {status for status, _, _ in bodies} == {200}
    assert len({body for _, body, _ in bodies}) == 1
    with Image.open(io.BytesIO(bodies[0][1])) as small:
        assert small.size == (320, 160)
    assert bodies[0][2]["Content-Type"] == "image/jpeg"


async def test_a_picture_that_would_fill_the_memory_is_refused(post: Post) -> None:
    held = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(held, "PNG")
    media = await post.settled(await post.send(held.getvalue(), mime="image/png"))

    status, body, _ = await post.get(media["id"], "?size=thumb")

    assert status == 422
    assert "pixels" in json.loads(body)["error"]
    assert (await post.get(media["id"]))[0] == 200


async def test_only_those_who_read_the_session_get_its_files(post: Post) -> None:
    media = await post.settled(await post.send(picture()))
    gateway = post.shop.gateway

    assert (await post.get(media["id"], token=""))[0] == 401
    assert (await post.get(media["id"], token=gateway.token(Role.VIEWER, {post.session_id})))[0] == 200
    assert (await post.get(media["id"], token=gateway.token(Role.ADMIN, {post.session_id + 1})))[0] == 403
    assert (await post.get("00000000-0000-0000-0000-000000000000"))[0] == 404
    assert (await post.get("no-id"))[0] == 404


async def test_a_link_opens_one_file_without_a_login_and_ends_with_it(post: Post) -> None:
    one = await post.settled(await post.send(picture(noise=21)))
    other = await post.settled(await post.send(picture(noise=22)))
    gateway = post.shop.gateway
    token = gateway.token(Role.VIEWER, {post.session_id})

    said = await gateway.data("POST", "/api/media/links", {"ids": [one["id"]]}, token=token)
    link = said["links"][one["id"]]

    assert (await post.fetch(link, token=""))[0] == 200
    assert (await post.fetch(link + "&size=thumb", token=""))[0] == 200
    query = link.partition("?")[2]
    assert (await post.get(other["id"], f"?{query}", token=""))[0] == 401
    assert (await post.get(one["id"], "?link=nonsense", token=""))[0] == 401
    assert (await gateway.call("POST", "/api/media/links", {"ids": ["x"]}))[0] == 404
    assert (await gateway.call("POST", "/api/media/links", {"ids": []}))[0] == 422
    foreign = gateway.token(Role.ADMIN, {post.session_id + 1})
    assert (await gateway.call("POST", "/api/media/links", {"ids": [one["id"]]}, token=foreign))[0] == 403
    await post.shop.db.execute(
        "INSERT INTO gateway.revoked (sub, before) VALUES ('tester', now() + interval '1 second')"
    )
    await eventually(lambda: post.fetch(link, token=""), lambda reply: reply[0] == 401)
