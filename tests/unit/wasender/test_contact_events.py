"""What webhooks tell of people and groups becomes facts for the address book."""

from typing import Any

import pytest

from gateway.domain.people import Contact, LidResolved, Member, MembersChanged
from gateway.wasender.contact_events import MAX_MEMBERS, facts_of, kind_of

EVA = "420601222333"
EVA_JID = f"{EVA}@s.whatsapp.net"
EVA_LID = "140012345678901@lid"
IVO = "420777888999"
IVO_JID = f"{IVO}@s.whatsapp.net"
GROUP = "120363990011223344@g.us"

EVA_NAMED = Contact(EVA_JID, "person", lid=EVA_LID, phone=EVA, name="Eva", push_name="evička")


@pytest.mark.parametrize(
    "item",
    [
        {"id": EVA_LID, "phoneNumber": EVA_JID, "name": "Eva", "notify": "evička"},
        {"id": EVA_JID, "lid": EVA_LID, "name": "Eva", "notify": "evička", "verifiedName": "Eva Ltd"},
        {
            "jid": EVA_JID,
            "lid": EVA_LID,
            "name": " Eva ",
            "pushName": "evička",
            "status": None,
            "imgUrl": "changed",
        },
        {"id": EVA_LID, "jid": f"{EVA}:2@c.us", "name": "Eva", "notify": "evička"},
        {"id": EVA_LID, "pn": f"+{EVA}", "lid": EVA_LID, "name": "Eva", "notify": "evička"},
    ],
)
@pytest.mark.parametrize("shape", ["list", "object", "named"])
def test_a_contact_is_read_in_every_shape(item: dict[str, Any], shape: str) -> None:
    data = {"list": [item], "object": item, "named": {"contacts": [item]}}[shape]

    assert facts_of("contacts.upsert", data) == [EVA_NAMED]
    assert facts_of(" Contacts.Update ", data) == [EVA_NAMED]


def test_what_a_contact_does_not_name_is_not_known() -> None:
    assert facts_of("contacts.update", [{"id": EVA_JID, "imgUrl": "changed"}]) == [
        Contact(EVA_JID, "person", phone=EVA)
    ]
    assert facts_of("contacts.update", [{"id": EVA_LID, "name": None, "notify": ""}]) == [
        Contact(EVA_LID, "person", lid=EVA_LID)
    ]


def test_a_business_is_known_by_its_verified_name() -> None:
    facts = facts_of("contacts.upsert", [{"jid": EVA_JID, "verifiedName": "Tile Ltd"}])

    assert facts == [Contact(EVA_JID, "person", phone=EVA, push_name="Tile Ltd")]


def test_a_group_among_the_contacts_is_a_group() -> None:
    assert facts_of("contacts.upsert", [{"id": GROUP, "name": "Divers"}]) == [
        Contact(GROUP, "group", name="Divers")
    ]


@pytest.mark.parametrize(
    "item", [None, 7, "x", [], {}, {"name": "Nameless"}, {"id": None}, {"id": "null"}, {"id": {}}]
)
def test_a_contact_without_an_address_is_nothing(item: Any) -> None:
    assert facts_of("contacts.upsert", [item]) == []


def test_the_digits_of_a_lid_are_no_number_of_a_contact() -> None:
    facts = facts_of("contacts.upsert", [{"id": EVA_LID, "phoneNumber": "140012345678901"}])

    assert facts == [Contact(EVA_LID, "person", lid=EVA_LID)]


# ------------------------------------------------------------------------------------------ groups


def test_a_group_has_its_name_its_members_and_their_lids() -> None:
    participants = [
        {"id": EVA_LID, "phoneNumber": EVA_JID, "admin": "superadmin"},
        {"jid": IVO_JID, "isAdmin": True, "isSuperAdmin": False},
        {"id": "160000000000001@lid", "admin": None, "notify": "Zoe"},
        "420111222333@c.us",
        None,
        {"id": GROUP},
    ]
    facts = facts_of("groups.upsert", [{"id": GROUP, "subject": "Divers", "participants": participants}])

    assert facts == [
        Contact(
            GROUP,
            "group",
            name="Divers",
            members=(
                Member(EVA_JID, lid=EVA_LID, phone=EVA, is_admin=True, is_owner=True),
                Member(IVO_JID, phone=IVO, is_admin=True),
                Member("160000000000001@lid", lid="160000000000001@lid", name="Zoe"),
                Member("420111222333@s.whatsapp.net", phone="420111222333"),
            ),
        ),
        LidResolved(EVA_LID, EVA),
    ]


def test_a_change_of_a_group_names_only_what_changed() -> None:
    assert facts_of("groups.update", [{"jid": GROUP, "announce": True}]) == [Contact(GROUP, "group")]
    assert facts_of("groups.update", {"groups": [{"id": GROUP, "subject": "Dry"}]}) == [
        Contact(GROUP, "group", name="Dry")
    ]
    assert facts_of("groups.update", [{"id": EVA_JID, "subject": "no group"}, {}, None]) == []


def test_a_group_that_lost_all_its_members_has_none() -> None:
    assert facts_of("groups.update", [{"id": GROUP, "participants": []}]) == [
        Contact(GROUP, "group", members=())
    ]


@pytest.mark.parametrize(
    ("word", "action"),
    [("add", "add"), ("REMOVE", "remove"), ("leave", "remove"), ("promote", "promote"), ("demote", "demote")],
)
@pytest.mark.parametrize("name", ["id", "jid", "groupJid"])
def test_members_come_and_go(word: str, action: Any, name: str) -> None:
    data = {name: GROUP, "participants": [IVO_JID, {"id": EVA_LID, "admin": "admin"}], "action": word}

    assert facts_of("group-participants.update", data) == [
        MembersChanged(
            GROUP, action, (Member(IVO_JID, phone=IVO), Member(EVA_LID, lid=EVA_LID, is_admin=True))
        )
    ]


@pytest.mark.parametrize(
    "data", [{}, {"id": GROUP}, {"id": GROUP, "participants": [IVO_JID], "action": "dance"}, None, []]
)
def test_a_change_of_members_that_says_nothing_is_nothing(data: Any) -> None:
    assert facts_of("group-participants.update", data) == []


def test_a_group_of_any_size_is_bounded() -> None:
    participants = [f"{420_000_000_000 + number}@s.whatsapp.net" for number in range(MAX_MEMBERS * 3)]
    facts = facts_of("groups.upsert", [{"id": GROUP, "participants": participants}])

    assert facts is not None
    assert isinstance(facts[0], Contact)
    assert len(facts[0].members or ()) == MAX_MEMBERS


# ------------------------------------------------------------------------------------------ who is which LID

PAIR = LidResolved(EVA_LID, EVA)


@pytest.mark.parametrize(
    "data",
    [
        {"lid": EVA_LID, "pn": EVA_JID},
        [{"lid": EVA_LID, "pn": f"{EVA}:3@s.whatsapp.net"}],
        {"mapping": {"lid": EVA_LID, "pn": EVA_JID}},
        {"mappings": [{"lid": EVA_LID, "phoneNumber": EVA}]},
        {"lid": EVA_LID, "jid": EVA_JID},
        {"lid": "140012345678901", "pn": f"+{EVA}"},
        {EVA_LID: EVA_JID},
        {EVA_JID: EVA_LID},
    ],
)
@pytest.mark.parametrize("event", ["lid-mapping.update", "chats.phoneNumberShare"])
def test_a_pair_of_lid_and_number_is_read(event: str, data: Any) -> None:
    assert facts_of(event, data) == [PAIR]


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"lid": EVA_LID},
        {"pn": EVA_JID},
        {"lid": EVA_LID, "pn": EVA_LID},
        {"lid": EVA_LID, "pn": "0@s.whatsapp.net"},
        {"lid": EVA_LID, "pn": "140012345678901@s.whatsapp.net"},
        {"lid": "140012345678901", "pn": "140012345678901"},
        {"lid": 1.5, "pn": EVA},
    ],
)
def test_half_a_pair_is_nothing(data: Any) -> None:
    assert facts_of("lid-mapping.update", data) == []


def test_chats_tell_names_and_pairs() -> None:
    data = {
        "chats": {
            "id": EVA_LID,
            "messages": [
                {
                    "message": {
                        "key": {"id": "1", "remoteJid": EVA_LID, "remoteJidAlt": EVA_JID},
                        "message": {},
                    }
                }
            ],
        }
    }

    assert facts_of("chats.update", data) == [PAIR]
    assert facts_of(
        "chats.upsert", [{"id": EVA_LID, "pnJid": EVA_JID, "lidJid": EVA_LID, "unreadCount": 1}]
    ) == [PAIR]
    assert facts_of("chats.upsert", [{"id": GROUP, "name": "Divers"}]) == [
        Contact(GROUP, "group", name="Divers")
    ]


def test_other_events_are_not_read_here() -> None:
    assert facts_of("messages.upsert", {}) is None


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        (EVA_JID, "person"),
        (EVA_LID, "person"),
        ("US.13491208655302741918", "person"),
        (GROUP, "group"),
        ("120363@newsletter", "channel"),
        ("170@broadcast", "broadcast"),
        ("0@s.whatsapp.net", "other"),
    ],
)
def test_the_kind_of_an_address(address: str, kind: str) -> None:
    assert kind_of(address) == kind
