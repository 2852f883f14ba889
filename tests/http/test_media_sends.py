"""A file that a person uploads reaches the customer, byte for byte, by the message that it was uploaded for."""

from pathlib import Path
from typing import Any

import pytest_asyncio

from gateway.domain.access import Role
from tests.http.media_parts import SENDER, Post, linked_number, sha256
from tests.http.support import Shop, eventually, opened
from tests.http.test_media_uploads import upload
from tests.launcher.running import running
from tests.launcher.settings import settings_for
from tests.little_files import LITTLE, recording


@pytest_asyncio.fixture
async def post(empty_shop: Shop) -> Post:
    return await linked_number(empty_shop)


async def send(post: Post, client_id: str, media_id: str, **more: Any) -> tuple[int, Any]:
    path = f"/api/conversations/{SENDER}/messages?session={post.session_id}"
    body = {"client_id": client_id, "media": media_id, **more}
    return await post.shop.gateway.call("POST", path, body)


async def sends(post: Post) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = await post.shop.gateway.data("GET", "/_simulator/sends", token="")
    return found


async def test_an_upload_is_sent_once_and_stands_in_its_message(post: Post) -> None:
    content = LITTLE["a.jpg"].content
    media_id = (await upload(post.shop, content))[1]["data"]["id"]

    status, said = await send(post, "one", media_id, text="Look")

    assert status == 202, said
    row = said["data"]
    assert (row["media"]["id"], row["media"]["state"], row["message_type"]) == (media_id, "stored", "image")
    (accepted,) = await eventually(lambda: sends(post))
    assert (accepted["kind"], accepted["text"], accepted["media_sha256"]) == (
        "image",
        "Look",
        sha256(content),
    )
    assert (await post.get(media_id))[1] == content
    status, said = await send(post, "one", media_id, text="Look")
    assert status == 200
    status, said = await send(post, "two", media_id)
    assert (status, said["code"]) == (422, "invalid")
    assert "Upload it once more" in said["error"]
    for nonsense in ("x", "00000000-0000-0000-0000-000000000000"):
        assert (await send(post, f"three {nonsense}", nonsense))[0] == 422


async def test_a_recorded_voice_note_and_a_document_arrive_as_what_they_are(post: Post) -> None:
    voice = (await upload(post.shop, recording("webm"), "audio/webm"))[1]["data"]["id"]
    paper = LITTLE["a.docx"].content
    document = (await upload(post.shop, paper, query="?name=Angebot.docx"))[1]["data"]["id"]

    await send(post, "voice", voice)
    await send(post, "paper", document)

    accepted = await eventually(lambda: sends(post), lambda found: len(found) == 2)
    assert [item["kind"] for item in accepted] == ["audio", "document"]
    assert accepted[1]["media_sha256"] == sha256(paper)
    assert accepted[1]["media"]["name"] == "Angebot.docx"


async def test_the_address_that_an_old_client_got_for_its_file_is_sent_from_here_as_often_as_it_asks(
    post: Post,
) -> None:
    content = LITTLE["a.jpg"].content
    token = post.shop.gateway.token(Role.AGENT, {post.session_id})
    uploaded = post.shop.gateway.url + "/api/upload"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "image/jpeg"}
    async with post.shop.http.post(uploaded, data=content, headers=headers) as reply:
        url = (await reply.json())["publicUrl"]

    async def ask(body: dict[str, Any], **headers: str) -> tuple[int, Any]:
        return await post.shop.gateway.call(
            "POST", "/api/send-message", {"to": SENDER, **body}, token=token, headers=headers
        )

    photo = {"imageUrl": url, "text": "Look"}
    for _ in range(2):
        status, said = await ask(photo, **{"Idempotency-Key": "photo"})
        assert status == 200, said
    status, said = await ask({"documentUrl": url, "fileName": "offer.jpg"})
    assert status == 200, said

    found = await eventually(lambda: sends(post), lambda found: len(found) == 2, "two sends")
    assert [one["kind"] for one in found] == ["image", "document"]
    assert {one["media_sha256"] for one in found} == {sha256(content)}
    rows = await post.shop.db.fetch("SELECT message_type, media FROM whatsapp_outgoing_messages ORDER BY id")
    assert [(row["message_type"], row["media"]["name"]) for row in rows] == [
        ("image", None),
        ("document", "offer.jpg"),
    ]
    status, said = await ask({"videoUrl": url})
    assert (status, list(said["errors"])) == (422, ["videoUrl"])
    status, said = await ask({"imageUrl": url.partition("?")[0] + "?link=ended"})
    assert (status, list(said["errors"])) == (422, ["imageUrl"])


async def test_what_a_person_uploads_and_does_not_send_has_a_limit(database: str, tmp_path: Path) -> None:
    async with (
        running(settings_for(database, tmp_path, unused_uploads=2)) as gateway,
        opened(gateway, database) as shop,
    ):
        post = await linked_number(shop)
        first = (await upload(shop, LITTLE["a.jpg"].content))[1]["data"]["id"]
        await upload(shop, LITTLE["a.docx"].content)

        status, said = await upload(shop, LITTLE["a.jpg"].content)
        assert (status, said["code"]) == (429, "rate_limited")
        assert "2 files" in said["error"]
        assert (await send(post, "one", first))[0] == 202
        assert (await upload(shop, LITTLE["a.jpg"].content))[0] == 201
