"""Every kind of message has words a person can read, whatever it is wrapped in and whatever stands beside it."""

from typing import Any

import pytest

from gateway.wasender.kinds import KINDS, PLACEHOLDERS, SILENT
from gateway.wasender.message_content import Content, content_in, content_of, unwrap, unwrapped
from gateway.wasender.texts.lines import MAX_LINES
from gateway.wasender.wrappers import BAGGAGE, MAX_WRAPPERS
from tests.unit.wasender.content_samples import FIELDS, FILE, PEOPLE
from tests.unit.wasender.content_samples_business import BUSINESS

SAYS = PEOPLE + BUSINESS


def is_decided(field: str) -> bool:
    return field in KINDS.keys() | SILENT.keys() | PLACEHOLDERS | BAGGAGE | {"commentMessage"}


WRAPPERS = [field for field in FIELDS if not is_decided(field)] + ["pollCreationMessageV4"]


def said_by(message: Any, **element: Any) -> Content:
    found = content_in({"message": message, **element})
    assert isinstance(found, Content), found
    return found


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_of_the_protocol_has_a_decision(field: str) -> None:
    assert is_decided(field) or unwrap({field: {"conversation": "inside"}}).wrappers == (field,)


@pytest.mark.parametrize(("message", "kind", "text"), [row[1:] for row in SAYS], ids=[row[0] for row in SAYS])
def test_each_kind_has_its_type_and_its_words(message: dict[str, Any], kind: str, text: str | None) -> None:
    found = said_by(message)

    assert (found.type, found.text, found.is_placeholder) == (kind, text, False)


@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"conversation", "reactionMessage"}))
@pytest.mark.parametrize(
    "part", [{"x": 1}, {"contextInfo": {"stanzaId": "1"}}], ids=["strange fields", "only a quote"]
)
def test_no_kind_but_a_file_is_without_words(name: str, part: dict[str, Any]) -> None:
    found = said_by({name: part})

    assert found.text or found.is_placeholder


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        (
            "templateMessage",
            {"hydratedTemplate": {"hydratedContentText": "Look", "imageMessage": {"url": FILE}}},
        ),
        ("interactiveMessage", {"header": {"imageMessage": {"url": FILE}}, "body": {"text": "Look"}}),
        ("buttonsMessage", {"imageMessage": {"url": FILE}, "contentText": "Look"}),
    ],
)
def test_the_picture_at_the_head_of_a_business_message_is_its_picture(
    kind: str, part: dict[str, Any]
) -> None:
    found = said_by({kind: part})

    assert (found.type, found.text, found.media_url, found.media) == ("image", "Look", FILE, {"url": FILE})


def test_a_document_keeps_its_name_beside_its_caption() -> None:
    found = said_by({"documentMessage": {"url": FILE, "fileName": "plan.pdf", "caption": "the plan"}})

    assert (found.text, found.file_name) == ("the plan", "plan.pdf")


@pytest.mark.parametrize("url", [None, "", "https://web.whatsapp.net", "file:///etc/passwd"])
def test_a_file_that_names_only_its_path_has_an_address(url: str | None) -> None:
    found = said_by({"imageMessage": {"url": url, "directPath": "/v/t62/1.enc"}})

    assert (found.media_url, found.is_placeholder) == ("https://mmg.whatsapp.net/v/t62/1.enc", False)


def test_upstreams_text_adds_to_a_composed_one_and_replaces_a_plain_one() -> None:
    listed = {"listMessage": {"title": "Sizes", "sections": [{"rows": [{"title": "M"}]}]}}

    assert said_by(listed, messageBody="Sizes").text == "Sizes\n• M"
    assert said_by(listed, messageBody="Choose").text == "Choose\nSizes\n• M"
    assert said_by({"conversation": "a"}, messageBody="b").text == "b"


# ------------------------------------------------------------------------------------------ envelopes

TEXT = {"extendedTextMessage": {"text": "inside"}}


@pytest.mark.parametrize("name", [*WRAPPERS, "envelopeOfTomorrow"])
def test_an_envelope_is_opened(name: str) -> None:
    assert said_by({name: {"message": TEXT}}).text == "inside"
    assert said_by({"ephemeralMessage": {"message": {name: {"message": TEXT}}}}).text == "inside"
    assert (
        said_by({"messageContextInfo": {}, name: {"message": TEXT, "extra": 1}, "conversation": None}).text
        == "inside"
    )


def test_an_edit_without_a_message_around_it_is_opened_and_known_as_an_edit() -> None:
    opened = unwrap({"editedMessage": {"conversation": "new"}})

    assert (opened.message, opened.is_edit) == ({"conversation": "new"}, True)
    assert not unwrap({"ephemeralMessage": {"message": {"conversation": "new"}}}).is_edit


def test_envelopes_without_end_are_not_followed_without_end() -> None:
    message: dict[str, Any] = {"conversation": "deep"}
    for _ in range(MAX_WRAPPERS + 10):
        message = {"ephemeralMessage": {"message": message}}

    assert len(unwrap(message).wrappers) == MAX_WRAPPERS


def test_an_empty_envelope_beside_a_text_is_nothing() -> None:
    assert said_by({"viewOnceMessage": {"message": {}}, "conversation": "said"}).text == "said"
    assert said_by({"ephemeralMessage": {}, "conversation": "said"}).text == "said"


# ------------------------------------------------------------------------------------------ absence


@pytest.mark.parametrize("field", [name for name in FIELDS if name != "conversation"])
def test_a_null_beside_a_text_is_absent(field: str) -> None:
    found = said_by(
        {field: None, "conversation": "said", "messageContextInfo": {"deviceListMetadataVersion": 2}}
    )

    assert (found.type, found.text) == ("text", "said")


@pytest.mark.parametrize(
    ("empty", "said", "kind"),
    [
        (
            {"extendedTextMessage": {"text": "", "contextInfo": {"forwardingScore": 2}}},
            "imageMessage",
            "image",
        ),
        ({"contactsArrayMessage": {"contacts": [], "displayName": ""}}, "locationMessage", "location"),
        ({"imageMessage": {"url": "", "fileLength": 0, "viewOnce": False}}, "locationMessage", "location"),
        ({"buttonsMessage": {"headerType": 0, "buttons": [{"buttonText": {}}]}}, "imageMessage", "image"),
    ],
)
def test_an_object_of_nothing_but_defaults_beside_a_content_is_absent(
    empty: dict[str, Any], said: str, kind: str
) -> None:
    parts = {
        "imageMessage": {"url": FILE},
        "locationMessage": {"degreesLatitude": -23.5, "degreesLongitude": -46.6},
    }

    assert said_by({**empty, said: parts[said]}).type == kind


@pytest.mark.parametrize("empty", ["", None, {}, []])
def test_an_empty_default_beside_a_picture_is_absent(empty: Any) -> None:
    message = {
        "conversation": empty,
        "extendedTextMessage": empty,
        "imageMessage": {"url": FILE, "caption": "seen"},
    }
    found = said_by(message)

    assert (found.type, found.text) == ("image", "seen")


def test_keys_and_empty_parts_beside_a_change_do_not_hide_it() -> None:
    found = content_in({"message": {"conversation": "", "imageMessage": {}, "protocolMessage": {"type": 14}}})

    assert not isinstance(found, Content)
    assert (found.kind, found.part) == ("protocolMessage", {"type": 14})


# ------------------------------------------------------------------------------------------ without content

EMPTY: list[tuple[str, dict[str, Any]]] = [
    ("null", {"message": None}),
    ("an empty object", {"message": {}}),
    ("absent", {}),
    ("only nulls", {"message": {"conversation": None, "imageMessage": None}}),
    ("an empty text", {"message": {"conversation": ""}}),
    ("only baggage", {"message": {"messageContextInfo": {"messageSecret": "AAAA"}}}),
    ("a stub by number", {"messageStubType": 2, "messageStubParameters": ["Message absent from node"]}),
    ("a stub by number as text", {"messageStubType": "2", "message": None}),
    ("a stub by name", {"messageStubType": "CIPHERTEXT", "messageStubParameters": ["Bad MAC"]}),
    ("a stub beside keys", {"messageStubType": 2, "message": {"senderKeyDistributionMessage": {"groupId": "g"}}}),
    ("a stub of a newer version", {"messageStubType": "FUTUREPROOF"}),
    ("an error without a stub", {"messageStubParameters": ["No session record"], "message": None}),
    ("view once, by its key", {"key": {"id": "1", "isViewOnce": True}}),
    ("view once, an empty envelope", {"message": {"viewOnceMessageV2": {"message": None}}}),
    ("view once, no file", {"message": {"viewOnceMessageV2": {"message": {"imageMessage": {"viewOnce": True}}}}}),
    ("a view-once stub", {"messageStubType": 74}),
    ("a masked message", {"message": {"placeholderMessage": {"type": 0}}}),
    ("a masked message by name", {"message": {"placeholderMessage": {"type": "MASK_LINKED_DEVICES"}}}),
    ("a masked message without fields", {"message": {"placeholderMessage": {}}}),
    ("a message to be revealed", {"message": {"conditionalRevealMessage": {"encPayload": "AAAA"}}}),
    ("a picture without an address", {"message": {"imageMessage": {"mimetype": "image/jpeg"}}}),
    ("a voice note with an empty address", {"message": {"audioMessage": {"url": "", "ptt": True}}}),
    ("a sticker of nothing", {"message": {"stickerMessage": {}}}),
]  # fmt: skip


@pytest.mark.parametrize("element", [row[1] for row in EMPTY], ids=[row[0] for row in EMPTY])
def test_a_message_without_its_content_is_a_placeholder(element: dict[str, Any]) -> None:
    found = content_in(element)

    assert isinstance(found, Content)
    assert (found.type, found.is_placeholder) == ("unknown", True)


def test_a_placeholder_keeps_the_words_that_came() -> None:
    found = said_by({"videoMessage": {"caption": "watch"}})

    assert (found.kind, found.type, found.text, found.is_placeholder) == (
        "videoMessage",
        "unknown",
        "watch",
        True,
    )


@pytest.mark.parametrize("beside", [{}, {"messageStubType": 2}, {"key": {"isViewOnce": True}}], ids=repr)
def test_content_beside_a_stub_is_content(beside: dict[str, Any]) -> None:
    found = said_by({"conversation": "here"}, **beside)

    assert (found.text, found.is_placeholder) == ("here", False)


@pytest.mark.parametrize(
    "message", [{"imageMessage": {"base64": "QUJD"}}, {"imageMessage": {"height": 1}, "base64": "QUJD"}]
)
def test_a_file_that_stands_in_the_payload_is_content(message: dict[str, Any]) -> None:
    assert not said_by(message).is_placeholder


NOTHING: list[tuple[str, dict[str, Any], str]] = [
    (
        "keys of a group",
        {"message": {"senderKeyDistributionMessage": {"groupId": "g"}, "messageContextInfo": {}}},
        "only keys",
    ),
    ("a notice", {"messageStubType": 27, "messageStubParameters": ["1@s.whatsapp.net"]}, "stub 27"),
    (
        "a notice by name",
        {"messageStubType": "GROUP_CHANGE_SUBJECT", "message": None},
        "stub group_change_subject",
    ),
    ("taken back", {"messageStubType": 1, "message": None}, "taken back"),
    ("a pin", {"message": {"pinInChatMessage": {"key": {"id": "1"}, "type": 1}}}, "pinned"),
    ("a vote", {"message": {"pollUpdateMessage": {"vote": {"encPayload": "a"}}}}, "vote"),
    (
        "an encrypted change",
        {"message": {"messageContextInfo": {}, "secretEncryptedMessage": {"secretEncType": 2}}},
        "phone",
    ),
    ("an album's header", {"message": {"albumMessage": {"expectedImageCount": 3}}}, "album"),
    (
        "a setting of a chat",
        {"message": {"limitSharingMessage": {"message": {"protocolMessage": {"type": 27}}}}},
        "another",
    ),
]


@pytest.mark.parametrize(("element", "reason"), [row[1:] for row in NOTHING], ids=[row[0] for row in NOTHING])
def test_what_is_no_message_is_nothing_with_a_reason(element: dict[str, Any], reason: str) -> None:
    found = content_in(element)

    assert not isinstance(found, Content)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("stub", "words"),
    [
        (40, "Missed voice call"),
        ("41", "Missed video call"),
        ("CALL_MISSED_GROUP_VOICE", "Missed group voice call"),
        (46, "Missed group video call"),
        (169, "Missed voice call"),
    ],
)
def test_a_stub_of_a_missed_call_is_a_call(stub: Any, words: str) -> None:
    found = said_by(None, messageStubType=stub)

    assert (found.type, found.text, found.is_placeholder) == ("call", words, False)


# ------------------------------------------------------------------------------------------ bounds


def test_a_list_of_any_length_becomes_a_text_of_bounded_length() -> None:
    rows = [{"title": f"row {number}"} for number in range(100_000)]
    found = said_by({"listMessage": {"title": "Long", "sections": [{"rows": rows}] * 50}})

    assert found.text is not None
    assert found.text.count("\n") < 2 * MAX_LINES


@pytest.mark.parametrize("element", [None, [], "x", 7, {"message": []}, {"message": 7}], ids=repr)
def test_what_is_no_element_is_a_message_without_content(element: Any) -> None:
    found = content_in(element)

    assert isinstance(found, Content)
    assert found.is_placeholder


def test_an_edit_reads_its_new_words_alone() -> None:
    found = content_of(unwrapped({"imageMessage": {"caption": "new words"}}))

    assert found is not None
    assert (found.type, found.text) == ("image", "new words")
