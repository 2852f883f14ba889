"""Who wrote, and in which chat, out of every way in which upstream and its engine name people."""

from typing import Any

import pytest

from gateway.domain.contacts import Author, LidResolved
from gateway.wasender.message_identity import (
    Parties,
    author_of,
    is_business_scoped,
    jid,
    key_id,
    parties,
    phone_in,
    resolved_in,
)

EVA = "420601222333"
EVA_JID = f"{EVA}@s.whatsapp.net"
EVA_LID = "140012345678901@lid"
IVO = "420777888999"
IVO_JID = f"{IVO}@s.whatsapp.net"
IVO_LID = "150098765432109@lid"
GROUP = "120363990011223344@g.us"
LIST = "1700000001@broadcast"
SCOPED = "US.13491208655302741918"


def incoming(**key: Any) -> Parties | None:
    return parties({"id": "1", "fromMe": False, **key}, from_me=False)


# ------------------------------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (EVA_JID, EVA_JID),
        (f"{EVA}@c.us", EVA_JID),
        (f"{EVA}:17@s.whatsapp.net", EVA_JID),
        (f"{EVA}_1:2@s.whatsapp.net", EVA_JID),
        (f"{EVA}.0:3@s.whatsapp.net", EVA_JID),
        ("140012345678901.1:3@lid", EVA_LID),
        (f"{EVA}:99@hosted", EVA_JID),
        ("140012345678901:3@hosted.lid", EVA_LID),
        ("140012345678901_1:3@lid", EVA_LID),
        (f"+{EVA}", EVA_JID),
        (f" {EVA} ", EVA_JID),
        ("+420 (601) 222-333", EVA_JID),
        (f"+{EVA}@s.whatsapp.net", EVA_JID),
        (GROUP, GROUP),
        (SCOPED, SCOPED),
        (f"{SCOPED}@s.whatsapp.net", f"{SCOPED}@s.whatsapp.net"),
        ("13135550002@bot", "13135550002@bot"),
        ("undefined@s.whatsapp.net", None),
        ("null", None),
        ("", None),
        ("@lid", None),
        (None, None),
        ([], None),
        (7, None),
    ],
)
def test_an_address_is_written_in_one_way(value: Any, expected: str | None) -> None:
    assert jid(value) == expected


@pytest.mark.parametrize(
    "value", [EVA, EVA_JID, f"+{EVA}", "+420 601-222-333", int(EVA), f"{EVA}:4@c.us", f"{EVA}@hosted"]
)
def test_a_phone_number_is_its_digits(value: Any) -> None:
    assert phone_in(value) == EVA


@pytest.mark.parametrize(
    "value",
    [
        "0", "123", "123456", "0000000000", "0@s.whatsapp.net", 0, 12, -420601222333, "null", "invalid", "undefined",
        "1234567890123456", EVA_LID, GROUP, SCOPED, f"{SCOPED}@s.whatsapp.net", "call me 4206012223", "٤٢٠٦٠١٢٢٢", True,
        [EVA], {}, None, 1.5,
    ],
    ids=repr,
)  # fmt: skip
def test_junk_is_no_phone_number(value: Any) -> None:
    assert phone_in(value) is None


@pytest.mark.parametrize(
    "value", [SCOPED, "us.1349120865", "BR.ENT.9988776655", f"{SCOPED}@lid", "DE.a1b2c3d4"]
)
def test_a_business_scoped_identity_is_known(value: str) -> None:
    assert is_business_scoped(value)


@pytest.mark.parametrize(
    "value", [EVA, EVA_JID, "Mr. X", "U.123456789", "USA.12345678", "US.", "example.com"]
)
def test_other_addresses_are_not_business_scoped(value: str) -> None:
    assert not is_business_scoped(value)


# ------------------------------------------------------------------------------------------ private chats

EVA_KNOWN = Parties(EVA_JID, EVA, EVA_LID)


@pytest.mark.parametrize(
    "key",
    [
        {"remoteJid": EVA_LID, "remoteJidAlt": EVA_JID, "addressingMode": "lid"},
        {"remoteJid": EVA_JID, "remoteJidAlt": EVA_LID, "addressingMode": "pn"},
        {"remoteJid": EVA_LID, "senderPn": EVA_JID, "senderLid": EVA_LID},
        {"remoteJid": EVA_LID, "cleanedSenderPn": EVA},
        {"remoteJid": EVA_LID, "cleanedSenderPn": int(EVA)},
        {"remoteJid": EVA_LID, "cleanedSenderPn": "0", "senderPn": f"{EVA}@c.us"},
        {"remoteJid": EVA_LID, "senderPn": "123@s.whatsapp.net", "remoteJidAlt": EVA_JID},
        {"remoteJid": EVA_LID, "senderPn": "000000000@s.whatsapp.net", "cleanedSenderPn": EVA},
        {"remoteJid": "140012345678901:5@hosted.lid", "remoteJidAlt": f"{EVA}:99@hosted"},
        {"remoteJid": "140012345678901@s.whatsapp.net", "senderLid": EVA_LID, "senderPn": EVA_JID},
        {"remoteJidAlt": EVA_JID, "senderLid": EVA_LID, "remoteJid": None},
    ],
)
def test_number_and_lid_are_told_apart_wherever_they_stand(key: dict[str, Any]) -> None:
    assert incoming(**key) == EVA_KNOWN
    assert resolved_in({"id": "1", **key}) == LidResolved(EVA_LID, EVA)


@pytest.mark.parametrize(
    "key",
    [
        {"remoteJid": EVA_LID},
        {"remoteJid": EVA_LID, "senderPn": "0@s.whatsapp.net", "cleanedSenderPn": "123"},
        {"remoteJid": EVA_LID, "cleanedSenderPn": "140012345678901"},
        {"remoteJid": EVA_LID, "senderPn": "140012345678901@s.whatsapp.net"},
        {"remoteJid": EVA_LID, "senderPn": "undefined@s.whatsapp.net", "cleanedSenderPn": "null"},
        {"remoteJid": "140012345678901@s.whatsapp.net", "senderLid": EVA_LID},
        {"remoteJid": "140012345678901@s.whatsapp.net", "remoteJidAlt": EVA_LID},
        {"senderLid": EVA_LID},
    ],
)
def test_the_digits_of_a_lid_are_never_a_number(key: dict[str, Any]) -> None:
    assert incoming(**key) == Parties(EVA_LID, EVA_LID, EVA_LID)
    assert resolved_in({"id": "1", **key}) is None


EVA_DISGUISED = "140012345678901@s.whatsapp.net"


@pytest.mark.parametrize(
    "key",
    [
        {"remoteJid": EVA_DISGUISED, "senderPn": EVA_JID},
        {"remoteJid": EVA_DISGUISED, "cleanedSenderPn": EVA},
        {"remoteJid": EVA_DISGUISED, "remoteJidAlt": EVA_JID},
        {"remoteJid": EVA_DISGUISED, "senderPn": EVA_JID, "senderLid": EVA_LID},
    ],
)
def test_a_lid_on_the_server_of_phone_numbers_is_one_where_the_key_says_that_it_has_lids(
    key: dict[str, Any],
) -> None:
    assert incoming(addressingMode="lid", **key) == Parties(EVA_JID, EVA, EVA_LID)
    assert author_of({"fromMe": False, "addressingMode": "lid", **key}).addresses == {EVA_JID, EVA_LID}


def test_a_lid_on_the_server_of_phone_numbers_is_one_without_a_number_beside_it() -> None:
    assert incoming(addressingMode="lid", remoteJid=EVA_DISGUISED) == Parties(EVA_LID, EVA_LID, EVA_LID)
    own = {
        "id": "1",
        "fromMe": True,
        "addressingMode": "lid",
        "remoteJid": EVA_DISGUISED,
        "senderPn": IVO_JID,
    }
    assert parties(own, from_me=True) == Parties(EVA_LID, EVA_LID, EVA_LID)
    member = {"remoteJid": GROUP, "participant": EVA_DISGUISED, "participantPn": EVA_JID}
    assert incoming(addressingMode="lid", **member) == Parties(GROUP, EVA, EVA_LID)


@pytest.mark.parametrize(
    "key",
    [
        {"remoteJid": EVA_JID},
        {"remoteJid": EVA_JID, "senderLid": EVA_LID},
        {"remoteJid": EVA_JID, "senderPn": EVA_JID},
        {"remoteJid": EVA_JID, "senderPn": IVO_JID},
    ],
)
def test_a_number_stays_one_although_the_key_says_that_it_has_lids(key: dict[str, Any]) -> None:
    found = incoming(addressingMode="lid", **key)
    assert found is not None
    assert (found.chat, found.address) == (EVA_JID, EVA)


@pytest.mark.parametrize("remote", [SCOPED, f"{SCOPED}@s.whatsapp.net"])
def test_a_business_scoped_identity_is_an_address_of_its_own(remote: str) -> None:
    assert incoming(remoteJid=remote) == Parties(remote, remote, None)


def test_a_number_beside_a_business_scoped_identity_is_the_chat() -> None:
    assert incoming(remoteJid=f"{SCOPED}@s.whatsapp.net", senderPn=EVA_JID) == Parties(EVA_JID, EVA, None)


def test_a_number_with_a_plus_and_without_a_server_is_a_chat() -> None:
    assert incoming(remoteJid=f"+{EVA}") == Parties(EVA_JID, EVA, None)


def test_a_junk_chat_stays_itself() -> None:
    assert incoming(remoteJid="0@s.whatsapp.net") == Parties("0@s.whatsapp.net", "0@s.whatsapp.net", None)


@pytest.mark.parametrize(
    "key", [{}, {"remoteJid": None}, {"remoteJid": ""}, {"remoteJid": "null"}, {"remoteJid": 5}]
)
def test_a_key_that_names_no_chat_has_none(key: dict[str, Any]) -> None:
    assert incoming(**key) is None


def test_the_chat_of_an_own_message_is_the_other_side() -> None:
    key = {
        "fromMe": True,
        "remoteJid": IVO_LID,
        "remoteJidAlt": IVO_JID,
        "senderPn": EVA_JID,
        "senderLid": EVA_LID,
    }

    assert parties(key, from_me=True) == Parties(IVO_JID, IVO, IVO_LID)
    assert author_of(key) == Author(True, frozenset({EVA_JID, EVA_LID}))
    assert resolved_in(key) == LidResolved(IVO_LID, IVO)


# ------------------------------------------------------------------------------------------ groups, lists, channels


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ({"participant": EVA_LID, "participantAlt": EVA_JID}, Parties(GROUP, EVA, EVA_LID)),
        ({"participant": EVA_JID, "participantLid": EVA_LID}, Parties(GROUP, EVA, EVA_LID)),
        ({"participant": EVA_LID, "cleanedParticipantPn": EVA}, Parties(GROUP, EVA, EVA_LID)),
        ({"participant": EVA_LID, "participantPn": "0@s.whatsapp.net"}, Parties(GROUP, EVA_LID, EVA_LID)),
        ({"participant": f"{EVA}:9@hosted"}, Parties(GROUP, EVA, None)),
        ({"participant": f"{SCOPED}@s.whatsapp.net"}, Parties(GROUP, f"{SCOPED}@s.whatsapp.net", None)),
        ({}, Parties(GROUP, GROUP, None)),
    ],
)
def test_a_member_of_a_group_is_named(key: dict[str, Any], expected: Parties) -> None:
    assert incoming(remoteJid=GROUP, **key) == expected


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ({"participant": EVA_JID}, Parties(EVA_JID, EVA, None)),
        ({"participant": EVA_LID, "participantAlt": EVA_JID}, Parties(EVA_JID, EVA, EVA_LID)),
        ({"participant": EVA_LID}, Parties(EVA_LID, EVA_LID, EVA_LID)),
        ({"senderPn": EVA_JID}, Parties(EVA_JID, EVA, None)),
        ({}, Parties(LIST, LIST, None)),
    ],
)
def test_a_message_through_a_broadcast_list_is_in_the_private_chat(
    key: dict[str, Any], expected: Parties
) -> None:
    found = incoming(remoteJid=LIST, **key)

    assert found == expected


def test_a_status_stays_with_the_statuses() -> None:
    found = incoming(remoteJid="status@broadcast", participant=EVA_JID)

    assert found == Parties("status@broadcast", EVA, None)


def test_what_we_send_to_a_list_stays_with_the_list() -> None:
    assert parties({"remoteJid": LIST, "participant": EVA_JID}, from_me=True) == Parties(LIST, LIST, None)


def test_a_channel_is_its_own_author() -> None:
    key = {"remoteJid": "120363000011112222@newsletter", "fromMe": False}

    assert author_of(key) == Author(False, frozenset({"120363000011112222@newsletter"}))


# ------------------------------------------------------------------------------------------ authors


def test_the_author_in_a_private_chat_is_the_other_side_under_all_addresses() -> None:
    key = {"fromMe": False, "remoteJid": EVA_LID, "remoteJidAlt": EVA_JID, "cleanedSenderPn": EVA}

    assert author_of(key) == Author(False, frozenset({EVA_JID, EVA_LID}))


def test_the_author_in_a_group_is_the_member() -> None:
    key = {"fromMe": False, "remoteJid": GROUP, "participant": EVA_LID, "participantPn": EVA_JID}

    assert author_of(key) == Author(False, frozenset({EVA_JID, EVA_LID}))


def test_junk_makes_no_author() -> None:
    one = author_of({"remoteJid": EVA_LID, "senderPn": "0@s.whatsapp.net"})
    other = author_of({"remoteJid": IVO_LID, "senderPn": "0@s.whatsapp.net"})

    assert one.addresses == {EVA_LID}
    assert other.addresses == {IVO_LID}
    assert author_of({"remoteJid": "0@s.whatsapp.net"}).addresses == frozenset()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ({"id": "A1"}, "A1"),
        ({"id": 12}, "12"),
        ({"id": " "}, None),
        ({"id": True}, None),
        ({}, None),
        (None, None),
        ([], None),
    ],
)
def test_the_id_of_a_key(key: Any, expected: str | None) -> None:
    assert key_id(key) == expected
