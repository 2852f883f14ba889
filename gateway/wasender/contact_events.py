"""What webhooks say about people and groups, read into plain facts for the address book.

`facts_of(event, data)` reads `contacts.*`, `groups.*`, `group-participants.update`, `chats.*` and the events that tell
which LID is which number. It never raises; an element that names no address gives nothing.
"""

from collections.abc import Callable
from typing import Any

from gateway.domain.contacts import (
    Contact,
    ContactFact,
    ContactKind,
    LidResolved,
    Member,
    MemberAction,
    MembersChanged,
)
from gateway.domain.message import is_lid, jid_of_phone
from gateway.wasender.message_identity import is_business_scoped, jid, phone_in, resolved_in
from gateway.wasender.values import enum_word, objects, present, text_at

MAX_MEMBERS = 5_000
"""Read of one group; WhatsApp's own limit is 1,024, of a community 2,000."""

_MAX_ITEMS = 20_000
_MAX_MESSAGES = 100
_ID_NAMES = ("id", "jid", "remoteJid", "chatId", "lid", "phoneNumber")
_PHONE_NAMES = (
    "phoneNumber",
    "phone",
    "pn",
    "jid",
    "id",
    "participantPn",
    "participantAlt",
    "phone_number",
    "jidAlt",
)
_LID_NAMES = ("lid", "id", "jid", "participant", "participantAlt", "lidJid", "jidAlt")
_ACTIONS: dict[str, MemberAction] = {
    "add": "add", "remove": "remove", "leave": "remove", "promote": "promote", "demote": "demote",
    "modify": "modify", "invite": "add", "join": "add",
}  # fmt: skip
_MAX_NAME = 500
_HELD_NAMES = ("messages", "lastMessage", "lastMsg")


def facts_of(event: str, data: Any) -> list[ContactFact] | None:
    """The facts of one webhook's `data`; None for an event that is not about people or groups."""
    reader = _READERS.get(event.strip().lower())
    return reader(data) if reader is not None else None


def contacts(data: Any) -> list[ContactFact]:
    """`contacts.upsert`, `contacts.update`: one person or group an element."""
    return [fact for item in _items(data, "contacts") if (fact := _contact(item)) is not None]


def groups(data: Any) -> list[ContactFact]:
    """`groups.upsert`, `groups.update`: name and members of one group an element, and the LIDs of its members."""
    facts: list[ContactFact] = []
    for item in _items(data, "groups"):
        group = _group_id(item)
        if group is None:
            continue
        members = _members(item.get("participants"))
        facts.append(
            Contact(
                jid=group,
                kind="group",
                name=_name(item, "subject", "name"),
                members=members if isinstance(item.get("participants"), list) else None,
            )
        )
        facts += _resolved(members or ())
    return facts


def members(data: Any) -> list[ContactFact]:
    """`group-participants.update`: members who came, went, or changed their rights."""
    facts: list[ContactFact] = []
    for item in _items(data, "participants_update"):
        group, action = _group_id(item), _ACTIONS.get(enum_word(item.get("action")))
        changed = _members(item.get("participants"))
        if group is not None and action is not None and changed:
            facts.append(MembersChanged(group, action, changed))
        facts += _resolved(changed or ())
    return facts


def lid_mappings(data: Any) -> list[ContactFact]:
    """`lid-mapping.update` and its like: pairs of a LID and a number, in whichever order and under whichever names."""
    found: list[ContactFact] = []
    for item in _items(data, "mappings", "mapping", "lidPnMappings", "lidMappings"):
        pair = _pair(item)
        if pair is not None:
            found.append(pair)
            continue
        # {"<lid>@lid": "<number>@s.whatsapp.net", …}
        for left, right in list(item.items())[:_MAX_ITEMS]:
            both = _pair({"lid": left, "pn": right}) or _pair({"lid": right, "pn": left})
            if both is not None:
                found.append(both)
    return found


def chats(data: Any) -> list[ContactFact]:
    """`chats.upsert`, `chats.update`: names of chats, and the pairs of LID and number that stand in them."""
    facts: list[ContactFact] = []
    for item in _items(data, "chats"):
        pair = _pair({"id": item.get("id"), "lid": item.get("lidJid"), "pn": item.get("pnJid")})
        if pair is not None:
            facts.append(pair)
        contact = _contact(item)
        if contact is not None and contact.name is not None:
            facts.append(contact)
        for held in _held(item):
            known = resolved_in(present(held["key"]))
            if known is not None:
                facts.append(known)
    return facts


def names_chats(data: Any) -> bool:
    """Whether each element of a `chats.*` event is a chat as the engine tells of it."""
    items = _items(data, "chats")
    return bool(items) and all(any(jid(item.get(name)) for name in _ID_NAMES) for item in items)


def messages_of(data: Any) -> list[dict[str, Any]]:
    """The whole messages that stand in the chats of a `chats.*` event, with their keys."""
    return [held for item in _items(data, "chats") for held in _held(item)]


def _held(chat: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of one chat; the engine writes each as `{"message": {"key": …, "message": …}}`."""
    found = [part for name in _HELD_NAMES for part in objects(chat.get(name) or [])[:_MAX_MESSAGES]]
    inner = [part["message"] if "key" in present(part.get("message") or {}) else part for part in found]
    return [part for part in inner if isinstance(part.get("key"), dict)]


# ------------------------------------------------------------------------------------------------ one element


def _contact(item: dict[str, Any]) -> Contact | None:
    lid, phone = _lid_and_phone(item)
    own = next((found for name in _ID_NAMES if (found := jid(item.get(name))) is not None), None)
    address = jid_of_phone(phone) if phone else lid or own
    if address is None:
        return None
    kind = kind_of(address)
    name = _name(item, "name", "subject") if kind != "person" else _name(item, "name")
    return Contact(
        jid=address,
        kind=kind,
        lid=lid,
        phone=phone,
        name=name,
        push_name=_name(item, "notify", "pushName", "pushname", "verifiedName") if kind == "person" else None,
    )


def kind_of(address: str) -> ContactKind:
    """What an address belongs to."""
    if is_lid(address) or phone_in(address) is not None or is_business_scoped(address):
        return "person"
    kinds: dict[str, ContactKind] = {"g.us": "group", "newsletter": "channel", "broadcast": "broadcast"}
    return kinds.get(address.partition("@")[2], "other")


def _group_id(item: dict[str, Any]) -> str | None:
    found = (
        jid(item.get("id")) or jid(item.get("jid")) or jid(item.get("groupJid")) or jid(item.get("chatId"))
    )
    return found if found is not None and found.endswith("@g.us") else None


def _members(value: Any) -> tuple[Member, ...]:
    items = value if isinstance(value, list) else []
    return tuple(found for item in items[:MAX_MEMBERS] if (found := _member(item)) is not None)


def _member(item: Any) -> Member | None:
    """A member as an object, or as the bare address that older payloads have."""
    fields = present(item) if isinstance(item, dict) else {"id": item}
    lid, phone = _lid_and_phone(fields)
    address = jid_of_phone(phone) if phone else lid or jid(fields.get("id")) or jid(fields.get("jid"))
    if address is None or kind_of(address) != "person":
        return None
    rank = enum_word(fields.get("admin") or fields.get("rank") or fields.get("role"))
    is_owner = rank in ("superadmin", "owner", "creator") or fields.get("isSuperAdmin") is True
    return Member(
        jid=address,
        lid=lid,
        phone=phone,
        is_admin=is_owner or rank == "admin" or fields.get("isAdmin") is True,
        is_owner=is_owner,
        name=_name(fields, "name", "notify"),
    )


def _lid_and_phone(item: dict[str, Any]) -> tuple[str | None, str | None]:
    """LID and number of an element; the digits of its own LID are no number, wherever they stand."""
    addresses = [jid(item.get(name)) for name in _LID_NAMES]
    lid = next((address for address in addresses if address is not None and is_lid(address)), None)
    hidden = lid.partition("@")[0] if lid else None
    phones = (phone_in(item.get(name)) for name in _PHONE_NAMES)
    return lid, next((phone for phone in phones if phone is not None and phone != hidden), None)


def _pair(item: dict[str, Any]) -> LidResolved | None:
    lid, phone = _lid_and_phone(item)
    if lid is None and isinstance(item.get("lid"), str | int):
        digits = str(item["lid"]).strip()  # a LID without its server, under its own name
        lid = f"{digits}@lid" if digits.isascii() and digits.isdigit() and phone != digits else None
    return (
        LidResolved(lid, phone) if lid is not None and phone is not None and lid != f"{phone}@lid" else None
    )


def _resolved(found: tuple[Member, ...]) -> list[ContactFact]:
    return [LidResolved(one.lid, one.phone) for one in found if one.lid is not None and one.phone is not None]


def _name(item: dict[str, Any], *names: str) -> str | None:
    found = text_at(item, *names)
    return found.strip()[:_MAX_NAME] if found is not None else None


def _items(data: Any, *names: str) -> list[dict[str, Any]]:
    """Elements are an array, an object, or either of them under one of `names`."""
    if isinstance(data, dict):
        data = next((data[name] for name in names if isinstance(data.get(name), dict | list)), data)
    return [present(item) for item in objects(data)[:_MAX_ITEMS]]


_READERS: dict[str, Callable[[Any], list[ContactFact]]] = {
    "contacts.upsert": contacts,
    "contacts.update": contacts,
    "contacts.set": contacts,
    "groups.upsert": groups,
    "groups.update": groups,
    "group-participants.update": members,
    "chats.upsert": chats,
    "chats.update": chats,
    "lid-mapping.update": lid_mappings,
    "lid-mapping.upsert": lid_mappings,
    "lid-mapping": lid_mappings,
    "lid_mapping.update": lid_mappings,
    "chats.phonenumbershare": lid_mappings,
}
"""Event names that are read here, in lower case."""
