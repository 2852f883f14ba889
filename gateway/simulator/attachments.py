"""Files that belong to a message: from what a tester or a client names to what the message says of them."""

import base64
import binascii
from collections.abc import Iterable
from typing import Any

from gateway.simulator import samples
from gateway.simulator.contents import CAN_HAVE_CAPTION, BadContent
from gateway.simulator.files import FILE_TROUBLES, Files, hex_of, made_up, name_in
from gateway.simulator.state import HostedFile, PlainFile

PREPARED = "prepared"
"""Where the message object of a file stands in a wish for an inbound message."""
ATTACHMENT_LIMIT_BYTES = 100 * 1024 * 1024
_OWN_FIELDS = frozenset({"kind", "mime", "name", "base64", "bytes", "troubles", "trouble", "status"})
_RENAMED = {"width": "width", "height": "height", "seconds": "seconds", "pages": "pageCount", "voice": "ptt"}


class Attachments:
    """`url` arguments are the address of the stand-in for WhatsApp's file host, without a slash at its end."""

    def __init__(self, files: Files) -> None:
        self._files = files

    async def prepare(self, spec: dict[str, Any], url: str) -> dict[str, Any]:
        """The wish, with the message object of the file it asks for, if it asks for one. Raises BadContent."""
        kind, wish = _wish(spec)
        if kind is None:
            return spec
        name = _text(wish, "name") or ("document.pdf" if kind == "document" else None)
        mime = _text(wish, "mime") or samples.MIMES[kind]
        troubles, status = _troubles(wish)
        hosted = await self._files.host(kind, _content(kind, wish), troubles=troubles, status=status)
        fields = _shown(kind, wish) | _described(hosted, url, mime, name)
        words = spec.get("text")
        if isinstance(words, str) and words and kind in CAN_HAVE_CAPTION:
            fields["caption"] = words
        fields |= {key: value for key, value in wish.items() if key not in _OWN_FIELDS | _RENAMED.keys()}
        return {**spec, PREPARED: {f"{kind}Message": fields}}

    async def of_upload(
        self, kind: str, upload: PlainFile, request: dict[str, Any], url: str
    ) -> dict[str, Any]:
        """The message object of an uploaded file that is sent, and under `media` what the ledger says of it."""
        hosted = await self._files.host_upload(kind, upload)
        name = str(request.get("fileName") or upload.name) if kind == "document" else None
        fields = _shown(kind, {}) | _described(hosted, url, upload.mime, name)
        if request.get("text") and kind in CAN_HAVE_CAPTION:
            fields["caption"] = request["text"]
        media = {
            "kind": kind,
            "mime": upload.mime,
            "name": name,
            "bytes": upload.bytes,
            "sha256": hex_of(hosted.sha256),
            "hosted": hosted.name,
        }
        return {"message": {f"{kind}Message": fields}, "media": media}

    def upload_at(self, url: Any) -> PlainFile | None:
        """The upload that lies at this address; None if there is none, or no more."""
        return self._files.upload(name_in(str(url)))


def _wish(spec: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """What file is asked for: as `media: {kind, …}`, or by its kind (`image: true`, `image: {…}`)."""
    if spec.get("media") is not None:
        wish = spec["media"]
        if not isinstance(wish, dict) or wish.get("kind") not in samples.MIMES:
            raise BadContent(f"media must be an object whose kind is one of {', '.join(samples.MIMES)}.")
        return wish["kind"], wish
    for kind in samples.MIMES:
        if spec.get(kind):
            return kind, spec[kind] if isinstance(spec[kind], dict) else {}
    return None, {}


def _content(kind: str, wish: dict[str, Any]) -> Iterable[bytes]:
    size = wish.get("bytes")
    if size is not None:
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= ATTACHMENT_LIMIT_BYTES:
            raise BadContent(f"media.bytes must be a whole number up to {ATTACHMENT_LIMIT_BYTES}.")
        return made_up(size)
    text = wish.get("base64")
    if text is None:
        return [samples.sample(kind)]
    if not isinstance(text, str):
        raise BadContent("media.base64 must be a string.")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return [base64.b64decode(text, validate=True)]
    except (binascii.Error, ValueError):
        raise BadContent("media.base64 is not base64.") from None


def _troubles(wish: dict[str, Any]) -> tuple[list[str], int | None]:
    wished = wish.get("troubles", [wish["trouble"]] if wish.get("trouble") else [])
    if not isinstance(wished, list) or not FILE_TROUBLES.issuperset(map(str, wished)):
        raise BadContent(f"media.troubles must be a list out of {', '.join(sorted(FILE_TROUBLES))}.")
    status = wish.get("status")
    if status is not None and (
        isinstance(status, bool) or not isinstance(status, int) or not 300 <= status < 600
    ):
        raise BadContent("media.status must be the HTTP status that the file host answers, 300 to 599.")
    return wished, status


def _described(hosted: HostedFile, url: str, mime: str, name: str | None) -> dict[str, Any]:
    """Where the file is and how to check it, with what is wrong about that."""
    told: dict[str, Any] = {
        "url": f"{url}/{hosted.name}?ccb=11-4&oe=FFFFFFFF",
        "directPath": f"/v/t62.7118-24/{hosted.name}?ccb=11-4",
        "mimetype": mime,
        "mediaKey": hosted.media_key,
        "fileSha256": hosted.sha256,
        "fileEncSha256": hosted.enc_sha256,
        "fileLength": str(hosted.bytes),
        "mediaKeyTimestamp": str(int(hosted.created_at)),
    }
    if name:
        told |= {"fileName": name, "title": name}
    wrong = base64.b64encode(bytes(32)).decode()
    if "wrong_key" in hosted.troubles:
        told["mediaKey"] = wrong
    if "wrong_hash" in hosted.troubles:
        told["fileSha256"] = wrong
    if "wrong_enc_hash" in hosted.troubles:
        told["fileEncSha256"] = wrong
    if "no_hashes" in hosted.troubles:
        del told["fileSha256"], told["fileEncSha256"]
    return told


def _shown(kind: str, wish: dict[str, Any]) -> dict[str, Any]:
    """What a client can show before it has the file."""
    shown: dict[str, Any] = {}
    if kind in ("image", "video"):
        own = not (wish.get("base64") or wish.get("bytes") is not None)
        shown = {"height": 360, "width": 480} if own else {}
        if own:
            shown["jpegThumbnail"] = base64.b64encode(samples.thumbnail()).decode()
    if kind == "audio":
        shown = {"ptt": True, "seconds": 3}
    if kind == "video":
        shown["seconds"] = 2
    for name, theirs in _RENAMED.items():
        if wish.get(name) is not None:
            shown[theirs] = wish[name]
    return shown


def _text(wish: dict[str, Any], name: str) -> str | None:
    value = wish.get(name)
    if value is not None and not isinstance(value, str):
        raise BadContent(f"media.{name} must be a string.")
    return value or None
