"""Opens encrypted changes of messages with what is stored of the messages themselves."""

from collections.abc import Sequence
from typing import Any

from gateway.domain.message import Sealed
from gateway.wasender.message_content import content_of
from gateway.wasender.message_identity import author_of
from gateway.wasender.message_secrets import message_secret, open_sealed, sealed_in
from gateway.wasender.values import present


def unseal(sealed: Sealed, original: Any, author: Sequence[str], changer: Sequence[str]) -> str | None:
    """The new text of an edit, or the emoji of a reaction ("" where it was taken back); None where it stays closed.

    `original` is the stored webhook of the message; `author` and `changer` are the addresses that are known of the one
    who wrote it and of the one who changes it. What their keys name is added.
    """
    original, element = present(original), sealed.element
    whole = element.get("message")
    if whole is None:
        whole = present(element.get("update")).get("message")
    found = sealed_in(whole)
    if found is None:
        return None
    opened = open_sealed(
        found,
        message_secret(original.get("message")),
        [*author, *author_of(present(original.get("key"))).addresses],
        [*changer, *author_of(present(element.get("key"))).addresses],
    )
    if opened is None:
        return None
    if sealed.kind == "reaction":
        emoji = opened.message.get("text")
        return emoji if isinstance(emoji, str) else ""
    content = content_of(opened.message)
    return None if content is None else content.full_text or ""
