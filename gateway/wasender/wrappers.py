"""Envelopes around a WhatsApp message, taken off.

An envelope is a field whose object holds a `message`: WAProto has some thirty of them and gets new ones, so the
shape counts, not the name. Envelopes stand in one another.
"""

from dataclasses import dataclass
from typing import Any

from gateway.wasender.values import is_said, present

MAX_WRAPPERS = 32

# Fields that are an envelope also where they hold the message's fields without a `message` around them.
_WRAPPERS = frozenset(
    {
        "ephemeralMessage", "viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension",
        "documentWithCaptionMessage", "editedMessage", "deviceSentMessage", "groupMentionedMessage",
        "lottieStickerMessage", "botInvokeMessage", "associatedChildMessage", "eventCoverImage",
        "pollCreationOptionImageMessage", "statusAddYours", "statusMentionMessage", "groupStatusMessage",
        "groupStatusMessageV2", "groupStatusMentionMessage", "questionMessage", "questionReplyMessage",
        "botTaskMessage", "botForwardedMessage", "spoilerMessage", "limitSharingMessage",
        "newsletterAdminProfileMessage", "newsletterAdminProfileStatusMessage",
        "botPlatformRegistrationSuccessMessage",
    }
)  # fmt: skip

# Hold a `message` and say more than that.
_NO_WRAPPERS = frozenset({"commentMessage", "protocolMessage"})

BAGGAGE = frozenset(
    {
        "messageContextInfo", "senderKeyDistributionMessage", "fastRatchetKeySenderKeyDistributionMessage",
        "groupRootKeyShare", "rootSecretDistributeMessage", "statusLinkPreviewMetadata",
    }
)  # fmt: skip
"""Fields that travel with a message, or alone, and say nothing to a reader."""


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """`message` is the innermost one without nulls; `wrappers` names what was taken off, the outermost first."""

    message: dict[str, Any]
    wrappers: tuple[str, ...] = ()

    @property
    def is_edit(self) -> bool:
        """Whether it is the new version of a message (`editedMessage`)."""
        return "editedMessage" in self.wrappers


def unwrap(message: Any) -> Unwrapped:
    """The innermost message and its envelopes; an empty message if there is none."""
    inner = present(message)
    wrappers: list[str] = []
    while len(wrappers) < MAX_WRAPPERS:
        found = _wrapper_in(inner)
        if found is None:
            break
        wrappers.append(found[0])
        inner = found[1]
    return Unwrapped(inner, tuple(wrappers))


def unwrapped(message: Any) -> dict[str, Any]:
    """The innermost message, without nulls; `{}` if there is none."""
    return unwrap(message).message


def has_words(message: dict[str, Any]) -> bool:
    """Whether anything but baggage says something in an unwrapped message."""
    return any(is_said(part) for name, part in message.items() if name not in BAGGAGE)


def _wrapper_in(message: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The envelope to open next; an empty one only where nothing else is said."""
    empty = None
    for name, part in message.items():
        if not isinstance(part, dict) or name in _NO_WRAPPERS or name in BAGGAGE:
            continue
        inside = _inside(name, part)
        if inside is None:
            continue
        if has_words(inside):
            return name, inside
        empty = empty or (name, inside)
    if empty is None:
        return None
    others = {name: part for name, part in message.items() if name != empty[0]}
    return None if has_words(others) else empty


def _inside(name: str, part: dict[str, Any]) -> dict[str, Any] | None:
    deeper = part.get("message")
    if isinstance(deeper, dict):
        return present(deeper)
    if name not in _WRAPPERS:
        return None
    # An edit inside messages.update holds the new message without a second `message` around it.
    return present({field: item for field, item in part.items() if field != "message"})
