"""Changes that current phones encrypt once more: edits, reactions and comments in communities, votes, answers.

The key is derived from the `messageSecret` of the message that is changed, so a gateway that stored that message
can read the change. As public implementations of the protocol describe it:

    info = id of the original + its sender + sender of the change + label
    key = HKDF-SHA256(secret, no salt, info, 32 bytes)
    plaintext = AES-256-GCM(key, encIv, encPayload, additional data)

The additional data are `<id>\\0<sender of the change>` for votes and answers to events, and empty for everything else.
Senders are JIDs without a device. A phone takes either the LID or the number of each, so all known are tried: a wrong
one is refused by the cipher.

    sealed = sealed_in(element["message"])            # None: nothing of the kind
    secret = message_secret(original_raw["message"])  # None: the original had none, or is not stored
    change = open_sealed(sealed, secret, original_author.addresses, author_of(key).addresses)   # None: not readable
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.domain.contacts import jid_variants
from gateway.wasender import message_schema as schemas
from gateway.wasender.message_identity import jid, key_id
from gateway.wasender.protobuf import Schema, decode
from gateway.wasender.values import bytes_of, enum_word, present
from gateway.wasender.wrappers import MAX_WRAPPERS, unwrapped

SECRET_BYTES = 32
_IV_BYTES = 12
_TAG_BYTES = 16
_MAX_PAYLOAD = 1024 * 1024
_MAX_SENDERS = 8
"""Addresses tried for one person; two are usual."""


class Use(StrEnum):
    """What a key is for; the value is the label that goes into it."""

    MESSAGE_EDIT = "Message Edit"
    EVENT_EDIT = "Event Edit"
    POLL_EDIT = "Poll Edit"
    POLL_OPTION_ADDED = "Poll Add Option"
    REACTION = "Enc Reaction"
    COMMENT = "Enc Comment"
    POLL_VOTE = "Poll Vote"
    EVENT_ANSWER = "Event Response"

    @property
    def is_edit(self) -> bool:
        """Whether the plaintext is the new version of the original."""
        return self in (Use.MESSAGE_EDIT, Use.EVENT_EDIT, Use.POLL_EDIT)


_SECRET_TYPES = {
    "1": Use.EVENT_EDIT, "event_edit": Use.EVENT_EDIT,
    "2": Use.MESSAGE_EDIT, "message_edit": Use.MESSAGE_EDIT,
    "4": Use.POLL_EDIT, "poll_edit": Use.POLL_EDIT,
    "5": Use.POLL_OPTION_ADDED, "poll_add_option": Use.POLL_OPTION_ADDED,
}  # fmt: skip

# Field of the message, name of the original's key in it, where the ciphertext stands in it, what it is for.
_FIELDS: tuple[tuple[str, str, str | None, Use], ...] = (
    ("encReactionMessage", "targetMessageKey", None, Use.REACTION),
    ("encCommentMessage", "targetMessageKey", None, Use.COMMENT),
    ("pollUpdateMessage", "pollCreationMessageKey", "vote", Use.POLL_VOTE),
    ("encEventResponseMessage", "eventCreationMessageKey", None, Use.EVENT_ANSWER),
)

_WITH_DATA = frozenset({Use.POLL_VOTE, Use.EVENT_ANSWER})
# Public implementations disagree on the label of this one.
_LABELS = {Use.POLL_OPTION_ADDED: (Use.POLL_OPTION_ADDED.value, Use.POLL_EDIT.value)}
_SCHEMAS: dict[Use, Schema] = {
    Use.REACTION: schemas.REACTION,
    Use.POLL_VOTE: schemas.POLL_VOTE,
    Use.EVENT_ANSWER: schemas.EVENT_ANSWER,
}


@dataclass(frozen=True, slots=True)
class Sealed:
    """A change that is encrypted: what for, of which message, and the ciphertext.

    `target` is the key of the original as the change names it, without nulls. `payload` and `iv` are None where they
    are missing or malformed: the change is then known, and can never be read.
    """

    use: Use
    target_id: str
    target: dict[str, Any]
    payload: bytes | None
    iv: bytes | None


@dataclass(frozen=True, slots=True)
class Opened:
    """A change in clear.

    `message` is in the engine's JSON: of an edit and a comment the unwrapped message, as `content_of` takes it; of a
    reaction `{text}`; of an answer to an event `{response}`; of an added option `{addOption}`. `timestamp_ms` is the
    change's own time where it has one. `votes` are the hashes of the options voted for.
    """

    message: dict[str, Any]
    timestamp_ms: int | None = None
    votes: tuple[bytes, ...] = ()


def sealed_in(message: Any) -> Sealed | None:
    """The encrypted change in a message, envelopes or not; None if there is none that is known."""
    inner = unwrapped(message)
    part = inner.get("secretEncryptedMessage")
    if isinstance(part, dict):
        use = _SECRET_TYPES.get(enum_word(part.get("secretEncType")))
        return _sealed(use, part, "targetMessageKey", part) if use is not None else None
    for name, key_name, payload_name, use in _FIELDS:
        part = inner.get(name)
        if isinstance(part, dict):
            return _sealed(use, part, key_name, part.get(payload_name) if payload_name else part)
    return None


def message_secret(message: Any) -> bytes | None:
    """The secret that came with a message, from its own level or that of any envelope; None if there is none."""
    level = present(message)
    for _ in range(MAX_WRAPPERS):
        info = level.get("messageContextInfo")
        secret = bytes_of(info.get("messageSecret"), SECRET_BYTES) if isinstance(info, dict) else None
        if secret is not None and len(secret) == SECRET_BYTES:
            return secret
        deeper = (part.get("message") for part in level.values() if isinstance(part, dict))
        following = next((part for part in deeper if isinstance(part, dict)), None)
        if following is None:
            return None
        level = following
    return None


def open_sealed(
    sealed: Sealed, secret: bytes | None, original_senders: Iterable[str], senders: Iterable[str]
) -> Opened | None:
    """The change in clear; None where the secret or the senders are not the right ones, or it is damaged.

    `original_senders` are the addresses of the original's author, `senders` those of the change's. Where the linked
    number wrote, its own number and LID belong in them.
    """
    plaintext = decrypt(sealed, secret, original_senders, senders)
    if plaintext is None:
        return None
    try:
        return _opened(sealed.use, plaintext)
    except ValueError:
        return None


def decrypt(
    sealed: Sealed, secret: bytes | None, original_senders: Iterable[str], senders: Iterable[str]
) -> bytes | None:
    """The plaintext of a change, as `open_sealed` takes it; None where it cannot be had."""
    if sealed.payload is None or sealed.iv is None or secret is None or len(secret) != SECRET_BYTES:
        return None
    changers = _candidates(senders)
    for original in _candidates(original_senders):
        for changer in changers:
            data = f"{sealed.target_id}\0{changer}".encode() if sealed.use in _WITH_DATA else None
            for label in _LABELS.get(sealed.use, (sealed.use.value,)):
                info = f"{sealed.target_id}{original}{changer}{label}".encode()
                key = HKDF(SHA256(), SECRET_BYTES, None, info).derive(secret)
                try:
                    return AESGCM(key).decrypt(sealed.iv, sealed.payload, data)
                except InvalidTag:
                    continue
    return None


def _sealed(use: Use, part: dict[str, Any], key_name: str, value: Any) -> Sealed | None:
    target = present(part.get(key_name))
    target_id = key_id(target)
    if target_id is None:
        return None
    fields = value if isinstance(value, dict) else {}
    payload = bytes_of(fields.get("encPayload"), _MAX_PAYLOAD)
    iv = bytes_of(fields.get("encIv", fields.get("encIV")), 64)
    return Sealed(
        use,
        target_id,
        target,
        payload if payload is not None and len(payload) >= _TAG_BYTES else None,
        iv if iv is not None and len(iv) == _IV_BYTES else None,
    )


def _candidates(senders: Iterable[str]) -> list[str]:
    known = [address for sender in senders if (address := jid(sender)) is not None]
    spelt = [variant for address in known for variant in jid_variants(address)]
    return list(dict.fromkeys([*known, *spelt]))[:_MAX_SENDERS]


def _opened(use: Use, plaintext: bytes) -> Opened:
    if use is Use.POLL_VOTE:
        vote = decode(plaintext, schemas.POLL_VOTE)
        hashes = [bytes_of(one, SECRET_BYTES) for one in vote.get("selectedOptions", [])]
        return Opened(vote, votes=tuple(one for one in hashes if one is not None))
    if use is Use.POLL_OPTION_ADDED:
        return Opened(decode(plaintext, schemas.POLL_OPTION_ADDED))
    if use in _SCHEMAS:
        found = decode(plaintext, _SCHEMAS[use])
        return Opened(found, found.get("senderTimestampMs", found.get("timestampMs")))
    message = unwrapped(decode(plaintext, schemas.MESSAGE))
    protocol = message.get("protocolMessage")
    if not isinstance(protocol, dict):
        return Opened(message)
    return Opened(unwrapped(protocol.get("editedMessage")), protocol.get("timestampMs"))
