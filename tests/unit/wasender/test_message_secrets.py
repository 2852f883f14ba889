"""Encrypted changes are opened with the secret of the message they change, and with nothing else.

The tests encrypt by HMAC and AES-GCM alone, written from RFC 5869 and the public description, apart from the code.
"""

import base64
import hashlib
import hmac
import random
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from gateway.wasender.message_content import content_of
from gateway.wasender.message_secrets import (
    Sealed,
    Use,
    decrypt,
    message_secret,
    open_sealed,
    sealed_in,
)

SECRET = bytes(range(32))
IV = b"twelve bytes"
ORIGINAL = "3EB0FEEDBEEF0001"
MIA = "4915112345678@s.whatsapp.net"
MIA_LID = "77001122334455@lid"
SHOP = "4930987654321@s.whatsapp.net"


def field(number: int, value: bytes | str | int) -> bytes:
    """One field of protobuf's wire format."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value % (1 << 64))
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encrypted(plaintext: bytes, label: str, original: str, changer: str, *, with_data: bool = False) -> bytes:
    extracted = hmac.new(bytes(32), SECRET, hashlib.sha256).digest()
    info = (ORIGINAL + original + changer + label).encode()
    key = hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()
    data = ORIGINAL.encode() + b"\x00" + changer.encode() if with_data else None
    return AESGCM(key).encrypt(IV, plaintext, data)


def base64_text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def edit_of(
    plaintext: bytes, *, original: str = MIA, changer: str = MIA, kind: Any = 2, label: str = "Message Edit"
) -> Any:
    return {
        "messageContextInfo": {"deviceListMetadataVersion": 2},
        "secretEncryptedMessage": {
            "targetMessageKey": {"id": ORIGINAL, "fromMe": False, "remoteJid": MIA, "participant": None},
            "encPayload": base64_text(encrypted(plaintext, label, original, changer)),
            "encIv": base64_text(IV),
            "secretEncType": kind,
        },
    }


def sealed_of(message: Any) -> Sealed:
    found = sealed_in(message)
    assert found is not None
    return found


NEW_TEXT = field(12, field(2, 14) + field(14, field(1, "new words")) + field(15, 1_790_000_000_123))
"""Message.protocolMessage{type, editedMessage.conversation, timestampMs}."""

# ------------------------------------------------------------------------------------------ edits


@pytest.mark.parametrize("kind", [2, "2", "MESSAGE_EDIT", 2.0])
def test_an_edit_is_opened(kind: Any) -> None:
    sealed = sealed_of(edit_of(NEW_TEXT, kind=kind))
    opened = open_sealed(sealed, SECRET, [MIA], [MIA])

    assert (sealed.use, sealed.target_id, sealed.target["remoteJid"]) == (Use.MESSAGE_EDIT, ORIGINAL, MIA)
    assert opened is not None
    assert (opened.message, opened.timestamp_ms) == ({"conversation": "new words"}, 1_790_000_000_123)


@pytest.mark.parametrize(
    ("plaintext", "text"),
    [
        (field(1, "bare"), "bare"),
        (field(6, field(1, "with a link") + field(17, b"")), "with a link"),
        (field(58, field(1, field(12, field(14, field(6, field(1, "enveloped")))))), "enveloped"),
        (field(12, field(14, field(3, field(3, "a caption") + field(16, bytes(500))))), "a caption"),
        (field(12, field(14, field(9, field(7, "of a film")))), "of a film"),
        (field(12, field(14, field(7, field(20, "of a file")))), "of a file"),
        (field(12, field(14, field(53, field(1, field(7, field(20, "of a wrapped file")))))), "of a wrapped file"),
        (field(40, field(1, field(1, "disappearing"))), "disappearing"),
        (field(999, b"of tomorrow") + field(1, "and of today"), "and of today"),
    ],
)  # fmt: skip
def test_an_edit_says_its_new_words_whatever_holds_them(plaintext: bytes, text: str) -> None:
    opened = open_sealed(sealed_of(edit_of(plaintext)), SECRET, [MIA], [MIA])

    assert opened is not None
    content = content_of(opened.message)
    assert content is not None
    assert content.text == text


@pytest.mark.parametrize(
    ("original", "changer"), [(MIA, MIA), (MIA_LID, MIA_LID), (MIA_LID, MIA), (MIA, MIA_LID)]
)
def test_number_and_lid_are_tried_for_both(original: str, changer: str) -> None:
    sealed = sealed_of(edit_of(NEW_TEXT, original=original, changer=changer))

    assert open_sealed(sealed, SECRET, [MIA, MIA_LID], [MIA_LID, MIA]) is not None


@pytest.mark.parametrize(
    "spelling", ["4915112345678:7@s.whatsapp.net", "4915112345678@c.us", "+49 151 12345678"]
)
def test_a_sender_is_known_with_a_device_and_in_any_spelling(spelling: str) -> None:
    assert open_sealed(sealed_of(edit_of(NEW_TEXT)), SECRET, [spelling], [spelling]) is not None


def test_both_spellings_of_a_number_are_tried() -> None:
    sealed = sealed_of(
        edit_of(NEW_TEXT, original="5215512345678@s.whatsapp.net", changer="5215512345678@s.whatsapp.net")
    )

    assert (
        open_sealed(sealed, SECRET, ["525512345678@s.whatsapp.net"], ["525512345678@s.whatsapp.net"])
        is not None
    )


def test_an_event_is_edited() -> None:
    event = field(75, field(3, "Dive") + field(4, "at the wreck") + field(7, 1_924_992_000))
    sealed = sealed_of(edit_of(field(12, field(14, event)), kind="EVENT_EDIT", label="Event Edit"))
    opened = open_sealed(sealed, SECRET, [MIA], [MIA])

    assert sealed.use is Use.EVENT_EDIT
    assert sealed.use.is_edit
    assert opened is not None
    assert opened.message == {
        "eventMessage": {"name": "Dive", "description": "at the wreck", "startTime": 1_924_992_000}
    }


# ------------------------------------------------------------------------------------------ not readable


def test_a_wrong_secret_opens_nothing() -> None:
    sealed = sealed_of(edit_of(NEW_TEXT))

    assert open_sealed(sealed, bytes(32), [MIA], [MIA]) is None
    assert open_sealed(sealed, SECRET[:31], [MIA], [MIA]) is None
    assert open_sealed(sealed, None, [MIA], [MIA]) is None


def test_a_wrong_sender_opens_nothing() -> None:
    sealed = sealed_of(edit_of(NEW_TEXT))

    assert open_sealed(sealed, SECRET, [SHOP], [MIA]) is None
    assert open_sealed(sealed, SECRET, [MIA], [SHOP]) is None
    assert open_sealed(sealed, SECRET, [], []) is None


def test_another_use_opens_nothing() -> None:
    assert open_sealed(sealed_of(edit_of(NEW_TEXT, label="Event Edit")), SECRET, [MIA], [MIA]) is None


@pytest.mark.parametrize("cut", [1, 15, 16, 17])
def test_a_truncated_payload_opens_nothing(cut: int) -> None:
    message = edit_of(NEW_TEXT)
    part = message["secretEncryptedMessage"]
    part["encPayload"] = base64_text(base64.b64decode(part["encPayload"])[:-cut])

    assert open_sealed(sealed_of(message), SECRET, [MIA], [MIA]) is None


@pytest.mark.parametrize("name", ["encPayload", "encIv"])
@pytest.mark.parametrize(
    "value", [None, "", "AAAA", "%%%", 7, {}, {"0": 300}, [], [1, "2"], {"type": "Buffer", "data": {}}]
)
def test_a_damaged_change_is_known_and_opens_nothing(name: str, value: Any) -> None:
    message = edit_of(NEW_TEXT)
    message["secretEncryptedMessage"][name] = value
    sealed = sealed_of(message)

    assert (sealed.target_id, sealed.use) == (ORIGINAL, Use.MESSAGE_EDIT)
    assert open_sealed(sealed, SECRET, [MIA], [MIA]) is None


@pytest.mark.parametrize(
    "plaintext", [b"\xff", field(1, "x")[:-1] + b"", b"\x0a\xff\x01x", b"\x0f", b"\x80" * 11]
)
def test_a_plaintext_that_is_no_message_opens_nothing(plaintext: bytes) -> None:
    message = edit_of(plaintext)

    assert decrypt(sealed_of(message), SECRET, [MIA], [MIA]) == plaintext
    assert open_sealed(sealed_of(message), SECRET, [MIA], [MIA]) is None


def test_messages_nested_without_end_are_not_followed() -> None:
    plaintext = field(1, "deep")
    for _ in range(200):
        plaintext = field(40, field(1, plaintext))

    assert open_sealed(sealed_of(edit_of(plaintext)), SECRET, [MIA], [MIA]) is None


@given(st.binary(max_size=300))
def test_any_plaintext_opens_or_does_not(plaintext: bytes) -> None:
    open_sealed(sealed_of(edit_of(plaintext)), SECRET, [MIA], [MIA])


@pytest.mark.parametrize(
    "message",
    [
        None,
        {},
        {"conversation": "x"},
        {"secretEncryptedMessage": None},
        {"secretEncryptedMessage": {"secretEncType": 2}},
        {"secretEncryptedMessage": {"targetMessageKey": {"id": ORIGINAL}, "secretEncType": 99}},
        {"pollUpdateMessage": {"vote": {}}},
    ],
    ids=repr,
)
def test_what_is_no_encrypted_change_is_none(message: Any) -> None:
    assert sealed_in(message) is None


# ------------------------------------------------------------------------------------------ other uses


def test_a_reaction_is_opened_also_one_taken_back() -> None:
    for emoji in ("🌊", ""):
        payload = encrypted(field(2, emoji) + field(4, 1_790_000_000_000), "Enc Reaction", MIA, SHOP)
        part = {
            "targetMessageKey": {"id": ORIGINAL},
            "encPayload": list(payload),
            "encIv": {"type": "Buffer", "data": list(IV)},
        }
        opened = open_sealed(sealed_of({"encReactionMessage": part}), SECRET, [MIA], [SHOP])

        assert opened is not None
        assert (opened.message["text"], opened.timestamp_ms) == (emoji, 1_790_000_000_000)


def test_a_comment_is_opened() -> None:
    payload = encrypted(field(6, field(1, "agreed")), "Enc Comment", MIA, SHOP)
    by_place = {str(place): byte for place, byte in enumerate(payload)}
    part = {"targetMessageKey": {"id": ORIGINAL}, "encPayload": by_place, "encIv": base64_text(IV)}
    opened = open_sealed(sealed_of({"encCommentMessage": part}), SECRET, [MIA], [SHOP])

    assert opened is not None
    assert opened.message == {"extendedTextMessage": {"text": "agreed"}}


def vote_for(*options: str, with_data: bool = True) -> Any:
    plaintext = b"".join(field(1, hashlib.sha256(option.encode()).digest()) for option in options)
    payload = encrypted(plaintext, "Poll Vote", SHOP, MIA, with_data=with_data)
    vote = {"encPayload": base64_text(payload), "encIv": base64_text(IV)}
    return {"pollUpdateMessage": {"pollCreationMessageKey": {"id": ORIGINAL, "fromMe": True}, "vote": vote}}


def test_a_vote_is_opened_with_the_hashes_of_its_options() -> None:
    opened = open_sealed(sealed_of(vote_for("Tea", "Milk")), SECRET, [SHOP], [MIA])

    assert opened is not None
    assert opened.votes == tuple(hashlib.sha256(option.encode()).digest() for option in ("Tea", "Milk"))


def test_a_vote_taken_back_has_no_options() -> None:
    opened = open_sealed(sealed_of(vote_for()), SECRET, [SHOP], [MIA])

    assert opened is not None
    assert opened.votes == ()


def test_a_vote_that_is_bound_to_no_voter_opens_nothing() -> None:
    assert open_sealed(sealed_of(vote_for("Tea", with_data=False)), SECRET, [SHOP], [MIA]) is None


def test_an_answer_to_an_event_is_opened() -> None:
    payload = encrypted(
        field(1, 1) + field(2, 1_790_000_000_000), "Event Response", SHOP, MIA, with_data=True
    )
    part = {
        "eventCreationMessageKey": {"id": ORIGINAL},
        "encPayload": base64_text(payload),
        "encIV": base64_text(IV),
    }
    opened = open_sealed(sealed_of({"encEventResponseMessage": part}), SECRET, [SHOP], [MIA])

    assert opened is not None
    assert (opened.message["response"], opened.timestamp_ms) == (1, 1_790_000_000_000)


@pytest.mark.parametrize("label", ["Poll Add Option", "Poll Edit"])
def test_an_option_added_is_opened_under_either_label(label: str) -> None:
    plaintext = field(2, field(1, "Juice"))
    opened = open_sealed(sealed_of(edit_of(plaintext, kind=5, label=label)), SECRET, [MIA], [MIA])

    assert opened is not None
    assert opened.message == {"addOption": {"optionName": "Juice"}}


# ------------------------------------------------------------------------------------------ the secret

FORMS: list[Any] = [
    base64_text(SECRET),
    base64_text(SECRET).rstrip("="),
    base64.urlsafe_b64encode(SECRET).decode(),
    list(SECRET),
    {str(place): byte for place, byte in enumerate(SECRET)},
    {"type": "Buffer", "data": list(SECRET)},
    {"type": "Buffer", "data": base64_text(SECRET)},
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: type(form).__name__ + str(len(form)))
def test_the_secret_is_found_in_every_form_and_at_every_level(form: Any) -> None:
    info = {"messageContextInfo": {"messageSecret": form}}

    assert message_secret({**info, "conversation": "x"}) == SECRET
    assert message_secret({**info, "ephemeralMessage": {"message": {"conversation": "x"}}}) == SECRET
    assert message_secret({"ephemeralMessage": {"message": {**info, "conversation": "x"}}}) == SECRET


@pytest.mark.parametrize(
    "form", [None, "", base64_text(SECRET[:31]), base64_text(SECRET + b"x"), [1] * 33, {"0": 1}, 7]
)
def test_what_is_no_secret_is_none(form: Any) -> None:
    assert message_secret({"messageContextInfo": {"messageSecret": form}, "conversation": "x"}) is None
    assert message_secret(form) is None


def test_bytes_are_encrypted_here_as_the_rfc_says() -> None:
    """RFC 5869, test case 3 (no salt, no info): the first block of the output."""
    extracted = hmac.new(bytes(32), bytes([0x0B] * 22), hashlib.sha256).digest()
    first = hmac.new(extracted, b"\x01", hashlib.sha256).hexdigest()

    assert first == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"


def test_flipped_bits_open_nothing() -> None:
    dice = random.Random(7)
    payload = bytearray(encrypted(NEW_TEXT, "Message Edit", MIA, MIA))
    for _ in range(50):
        broken = bytearray(payload)
        broken[dice.randrange(len(broken))] ^= 1 << dice.randrange(8)
        message = edit_of(NEW_TEXT)
        message["secretEncryptedMessage"]["encPayload"] = base64_text(bytes(broken))

        assert open_sealed(sealed_of(message), SECRET, [MIA], [MIA]) is None
