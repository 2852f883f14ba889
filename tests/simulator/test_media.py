"""Files: real encryption, an own host for them, uploads, and what upstream decrypts."""

import base64
import hashlib
import hmac
import io
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.simulator import samples
from tests.simulator.support import MovedClock, Receiver, Served, linked, receiving, serving

ANN = "+491701234567"
INFO = {"image": "Image", "sticker": "Image", "video": "Video", "audio": "Audio", "document": "Document"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


async def received(served: Served, receiver: Receiver, **media: Any) -> dict[str, Any]:
    """A message with that file, as the webhook tells it."""
    count = sum(hook.event == "messages.received" for hook in receiver.got)
    reply = await served.control("POST", "/sessions/1/inbound", {"from": ANN, "media": media})
    assert reply.status == 200, reply.text
    await receiver.wait_for(lambda r: sum(hook.event == "messages.received" for hook in r.got) > count)
    item: dict[str, Any] = [
        h.body["data"]["messages"] for h in receiver.got if h.event == "messages.received"
    ][-1]
    return item


def part_of(item: dict[str, Any]) -> dict[str, Any]:
    part: dict[str, Any] = next(value for name, value in item["message"].items() if "url" in value)
    return part


async def fetched(served: Served, url: str) -> bytes:
    async with served.http.get(url) as reply:
        assert reply.status == 200
        return await reply.read()


def opened(encrypted: bytes, part: dict[str, Any], kind: str) -> bytes:
    """WhatsApp's scheme, written down once more and independently."""
    info = f"WhatsApp {INFO[kind]} Keys".encode()
    derived = HKDF(hashes.SHA256(), 112, None, info).derive(base64.b64decode(part["mediaKey"]))
    iv, key, mac_key = derived[:16], derived[16:48], derived[48:80]
    body, mac = encrypted[:-10], encrypted[-10:]
    assert hmac.new(mac_key, iv + body, hashlib.sha256).digest()[:10] == mac
    cipher = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    padded = cipher.update(body) + cipher.finalize()
    return padded[: -padded[-1]]


def sha(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


# ---------------------------------------------------------------------------------------------- received


@pytest.mark.parametrize("kind", samples.MIMES)
async def test_a_received_file_is_really_encrypted_and_opens_with_the_key_of_its_message(
    served: Served, receiver: Receiver, kind: str
) -> None:
    await linked(served, receiver)
    part = part_of(await received(served, receiver, kind=kind))
    encrypted = await fetched(served, part["url"])

    assert opened(encrypted, part, kind) == samples.sample(kind)
    assert part["fileSha256"] == sha(samples.sample(kind))
    assert part["fileEncSha256"] == sha(encrypted)
    assert int(part["fileLength"]) == len(samples.sample(kind))
    assert part["mimetype"] == samples.MIMES[kind]


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 262_144, 262_145])
async def test_every_length_survives_the_padding(served: Served, receiver: Receiver, size: int) -> None:
    await linked(served, receiver)
    content = base64.b64encode(bytes(size)).decode()
    part = part_of(await received(served, receiver, kind="document", mime="text/plain", base64=content))

    assert opened(await fetched(served, part["url"]), part, "document") == bytes(size)


async def test_a_big_file_is_made_up_by_its_size(served: Served, receiver: Receiver) -> None:
    await linked(served, receiver)
    part = part_of(await received(served, receiver, kind="video", bytes=1_000_000))
    plain = opened(await fetched(served, part["url"]), part, "video")

    assert len(plain) == 1_000_000
    assert part["fileSha256"] == sha(plain)


async def test_a_file_keeps_what_its_sender_says_of_it(served: Served, receiver: Receiver) -> None:
    await linked(served, receiver)
    item = await received(
        served, receiver, kind="document", name="Ré<b>sumé.pdf", mime="application/pdf", pages=3
    )

    part = part_of(item)
    assert (part["fileName"], part["mimetype"], part["pageCount"]) == ("Ré<b>sumé.pdf", "application/pdf", 3)


@pytest.mark.parametrize(
    ("media", "word"),
    [
        ("picture", "kind"),
        ({"kind": "hologram"}, "kind"),
        ({"kind": "image", "base64": "%"}, "base64"),
        ({"kind": "image", "bytes": -1}, "bytes"),
        ({"kind": "image", "troubles": ["rain"]}, "troubles"),
        ({"kind": "image", "status": 200}, "status"),
        ({"kind": "image", "name": 5}, "name"),
    ],
)
async def test_a_file_that_makes_no_sense_is_refused(
    served: Served, receiver: Receiver, media: Any, word: str
) -> None:
    await linked(served, receiver)
    reply = await served.control("POST", "/sessions/1/inbound", {"from": ANN, "media": media})

    assert reply.status == 422
    assert word in reply.json["error"]


# ---------------------------------------------------------------------------------------------- the host


async def test_wrong_keys_and_hashes_are_wrong_and_the_rest_of_the_message_is_right(
    served: Served, receiver: Receiver
) -> None:
    await linked(served, receiver)
    plain = samples.sample("image")
    wrong_key = part_of(await received(served, receiver, kind="image", troubles=["wrong_key"]))
    wrong_hash = part_of(await received(served, receiver, kind="image", troubles=["wrong_hash"]))
    wrong_enc = part_of(await received(served, receiver, kind="image", troubles=["wrong_enc_hash"]))
    changed = part_of(await received(served, receiver, kind="image", troubles=["changed"]))
    bare = part_of(await received(served, receiver, kind="image", troubles=["no_hashes"]))

    with pytest.raises(AssertionError):
        opened(await fetched(served, wrong_key["url"]), wrong_key, "image")
    assert opened(await fetched(served, wrong_hash["url"]), wrong_hash, "image") == plain
    assert wrong_hash["fileSha256"] != sha(plain)
    assert wrong_enc["fileEncSha256"] != sha(await fetched(served, wrong_enc["url"]))
    assert changed["fileEncSha256"] == sha(await fetched(served, changed["url"]))
    with pytest.raises(AssertionError):
        opened(await fetched(served, changed["url"]), changed, "image")
    assert not {"fileSha256", "fileEncSha256"} & bare.keys()


@pytest.mark.parametrize("status", [403, 404, 410, 500])
async def test_the_host_answers_the_status_of_a_file(served: Served, receiver: Receiver, status: int) -> None:
    await linked(served, receiver)
    part = part_of(await received(served, receiver, kind="image", status=status))

    assert (await served.call("GET", part["url"])).status == status


async def test_a_file_can_be_cut_redirected_lost_or_without_end(served: Served, receiver: Receiver) -> None:
    await linked(served, receiver)
    cut = part_of(await received(served, receiver, kind="image", troubles=["cut"]))
    elsewhere = part_of(await received(served, receiver, kind="image", troubles=["redirect"]))
    lost = part_of(await received(served, receiver, kind="image", troubles=["lost"]))
    endless = part_of(await received(served, receiver, kind="image", troubles=["endless"]))

    with pytest.raises(aiohttp.ClientError):
        await fetched(served, cut["url"])
    async with served.http.get(elsewhere["url"], allow_redirects=False) as reply:
        assert reply.status == 302
    assert (await served.call("GET", lost["url"])).status == 404
    async with served.http.get(endless["url"]) as reply:
        got = 0
        async for piece in reply.content.iter_any():
            got += len(piece)
            if got > 1_000_000:
                break
    assert got > 1_000_000


async def test_a_slow_file_comes_in_small_pieces() -> None:
    clock = MovedClock()
    async with receiving() as receiver, serving(clock=clock) as served:
        await served.create(receiver)
        await served.control("POST", "/faults", {"mode": "slow_qr"})
        await served.account("POST", "/whatsapp-sessions/1/connect")
        clock.move(1)
        await served.control("POST", "/sessions/1/scan")
        clock.move(1)
        part = part_of(await received(served, receiver, kind="image", troubles=["slow"]))
        async with served.http.get(part["url"]) as reply:
            first = await reply.content.readany()
            assert int(reply.headers["Content-Length"]) > len(first)
            while not reply.content.at_eof():
                clock.move(1)
                await reply.content.readany()


async def test_fault_switches_reach_the_file_host(served: Served, receiver: Receiver) -> None:
    await linked(served, receiver)
    part = part_of(await received(served, receiver, kind="image"))
    await served.control("POST", "/faults", {"path": "/files", "status": 503})
    first, second = await served.call("GET", part["url"]), None
    second = await fetched(served, part["url"])

    assert first.status == 503
    assert len(second) > 0


async def test_files_survive_a_restart_beside_the_state(tmp_path: Path) -> None:
    state = tmp_path / "simulator.json"
    async with receiving() as receiver:
        async with serving(state) as served:
            await linked(served, receiver)
            part = part_of(await received(served, receiver, kind="image"))
        async with serving(state) as served:
            name = part["url"].partition("?")[0].rpartition("/")[2]
            encrypted = await fetched(served, f"{served.base}/simulator/files/{name}")
            await served.control("POST", "/reset")
            after = await served.call("GET", f"/simulator/files/{name}")

    assert opened(encrypted, part, "image") == samples.sample("image")
    assert after.status == 404
    assert not state.with_suffix(".files").exists()


# ---------------------------------------------------------------------------------------------- decrypt-media


async def _decrypt(served: Served, key: str, item: dict[str, Any]) -> Any:
    return await served.call("POST", "/api/decrypt-media", {"data": {"messages": item}}, token=key)


async def test_upstream_decrypts_with_the_key_of_the_request(served: Served, receiver: Receiver) -> None:
    key = (await linked(served, receiver))["api_key"]
    good = await received(served, receiver, kind="audio", status=410)  # gone at WhatsApp, not upstream
    bad = await received(served, receiver, kind="image", troubles=["wrong_key"])
    lost = await received(served, receiver, kind="image", troubles=["lost"])
    reply = await _decrypt(served, key, good)

    assert "data" not in reply.json
    assert await fetched(served, reply.json["publicUrl"]) == samples.sample("audio")
    assert (await _decrypt(served, key, bad)).status == 422
    assert (await _decrypt(served, key, lost)).status == 404
    assert (await _decrypt(served, key, {"key": {"id": "x"}, "message": {}})).status == 422


async def test_a_decrypted_file_is_there_for_an_hour(receiver: Receiver) -> None:
    clock = MovedClock()
    async with serving(clock=clock) as served:
        key = (await served.create(receiver))["api_key"]
        await served.control("POST", "/faults", {"mode": "slow_qr"})
        await served.account("POST", "/whatsapp-sessions/1/connect")
        clock.move(1)
        await served.control("POST", "/sessions/1/scan")
        clock.move(1)
        url = (await _decrypt(served, key, await received(served, receiver, kind="image"))).json["publicUrl"]
        clock.move(3_590)
        before = await fetched(served, url)
        clock.move(20)
        after = await served.call("GET", url)

    assert before == samples.sample("image")
    assert after.status == 404


# ---------------------------------------------------------------------------------------------- uploads and sends


async def _upload(served: Served, key: str, content: bytes, mime: str) -> tuple[int, dict[str, Any]]:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": mime}
    async with served.http.post(
        served.base + "/api/upload", data=io.BytesIO(content), headers=headers
    ) as reply:
        return reply.status, await reply.json()


async def test_an_upload_is_taken_raw_as_base64_and_as_a_form(served: Served) -> None:
    key = (await served.create())["api_key"]
    headers = {"Authorization": f"Bearer {key}"}
    _, raw = await _upload(served, key, PNG, "image/png")
    text = base64.b64encode(PNG).decode()
    as_json = await served.call("POST", "/api/upload", {"base64": f"data:image/png;base64,{text}"}, token=key)
    form = aiohttp.FormData()
    form.add_field("note", "x")
    form.add_field("file", PNG, filename="a.png", content_type="image/png")
    async with served.http.post(served.base + "/api/upload", data=form, headers=headers) as reply:
        as_form = await reply.json()

    for said in (raw, as_json.json, as_form):
        async with served.http.get(said["publicUrl"]) as file:
            assert await file.read() == PNG
            assert file.headers["Content-Type"] == "image/png"
            assert file.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("content", "mime", "word"),
    [
        (b"", "image/png", "required"),
        (b"%PDF-1.7 x", "image/png", "does not match"),
        (b"hello", "image/jpeg", "does not match"),
        (PNG, "audio/ogg", "does not match"),
        (b"\xff\xd8\xff" + bytes(16 * 1024 * 1024), "image/jpeg", "16 MB"),
    ],
)
async def test_an_upload_that_is_not_what_it_says_is_refused(
    served: Served, content: bytes, mime: str, word: str
) -> None:
    key = (await served.create())["api_key"]
    status, said = await _upload(served, key, content, mime)

    assert status == 422
    assert word in said["errors"]["file"][0]


async def test_a_sent_file_stands_in_the_ledger_by_its_hash_and_reaches_the_phone(
    served: Served, receiver: Receiver
) -> None:
    key = (await linked(served, receiver))["api_key"]
    _, upload = await _upload(served, key, PNG, "image/png")
    wish = {"to": ANN, "imageUrl": upload["publicUrl"], "text": "look"}
    await served.call("POST", "/api/send-message", wish, token=key)
    (echo,) = await receiver.wait_for_events("messages.upsert")
    (row,) = (await served.control("GET", "/sends")).data
    part = part_of(echo.body["data"]["messages"])

    assert row["media"]["sha256"] == row["media_sha256"] == hashlib.sha256(PNG).hexdigest()
    assert (row["media"]["bytes"], row["media"]["mime"]) == (len(PNG), "image/png")
    assert part["caption"] == "look"
    assert opened(await fetched(served, part["url"]), part, "image") == PNG


async def test_an_upload_that_is_over_makes_the_send_fail_later(served: Served, receiver: Receiver) -> None:
    key = (await linked(served, receiver))["api_key"]
    wish = {"to": ANN, "imageUrl": f"{served.base}/api/media/none.png"}
    reply = await served.call("POST", "/api/send-message", wish, token=key)
    (hook,) = await receiver.wait_for_events("message.sent")

    assert reply.status == 200
    assert hook.body["data"]["success"] is False


async def test_a_file_from_elsewhere_is_accepted_without_being_fetched(
    served: Served, receiver: Receiver
) -> None:
    key = (await linked(served, receiver))["api_key"]
    wish = {"to": ANN, "documentUrl": "https://files.example/a.pdf", "fileName": "a.pdf"}
    await served.call("POST", "/api/send-message", wish, token=key)
    (echo,) = await receiver.wait_for_events("messages.upsert")
    (row,) = (await served.control("GET", "/sends")).data

    assert part_of(echo.body["data"]["messages"])["fileName"] == "a.pdf"
    assert (row["kind"], row["media"]) == ("document", None)
