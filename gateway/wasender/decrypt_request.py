"""The body of `POST /decrypt-media`: the part of a webhook that names one file, with where it lies and its key."""

from typing import Any

from gateway.domain.errors import Invalid
from gateway.domain.media import KINDS, MediaSource
from gateway.services.media.ports import Wanted


def wanted_of(session_id: int, body: Any) -> Wanted:
    """The file that the body of such a request means. Raises Invalid."""
    try:
        item = body["data"]["messages"]
        key_id, message = item["key"]["id"], item["message"]
        (part,) = [name for name in message if name.removesuffix("Message") in KINDS]
        fields = message[part]
        url, key, mime = fields["url"], fields["mediaKey"], fields.get("mimetype")
    except (KeyError, TypeError, ValueError, AttributeError):
        url = key = key_id = mime = part = fields = None
    if not all(isinstance(item, str) and item for item in (url, key, key_id)):
        raise Invalid("Exactly one media message with url and mediaKey is needed.")
    return Wanted(
        id="",
        session_id=session_id,
        key_id=str(key_id),
        kind=str(part).removesuffix("Message"),  # type: ignore[arg-type]
        mime=mime if isinstance(mime, str) else None,
        name=None,
        part=str(part),
        source=MediaSource(str(url), str(key)),
        tries=0,
        age_s=0.0,
    )
