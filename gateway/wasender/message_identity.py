"""Who wrote, and in which chat: WhatsApp's kinds of address, sorted out.

A person has a phone number (PN) and a LID, an opaque number that looks like one. Upstream names either or
both, under a dozen names. The digits of a LID are never taken for a phone number, not even where upstream
itself puts them in a field for phone numbers. A business-scoped identity (`US.1349…`) is an address of its own.

- `parties(key, from_me)`: the chat and the counterpart, as a row names them.
- `author_of(key)`: who wrote, or who changes, under every address the key names.
- `resolved_in(key)`: the LID and the number that the key shows to be one person.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.domain.contacts import (
    MAX_PHONE_DIGITS,
    MIN_LID_DIGITS,
    MIN_PHONE_DIGITS,
    Author,
    LidResolved,
    variants_of,
)
from gateway.domain.message import LID_SERVER, PHONE_SERVER, bare_jid, is_lid, jid_of_phone
from gateway.domain.phones import is_assigned

STATUS_CHAT = "status@broadcast"

_BROADCAST = "@broadcast"
_CROWDS = ("@g.us", _BROADCAST)
_BARE = re.compile(rf"[0-9]+@({re.escape(PHONE_SERVER)}|{LID_SERVER})")  # nearly all: nothing to take off
_BARE_PHONE = re.compile(rf"([0-9]{{{MIN_PHONE_DIGITS},{MAX_PHONE_DIGITS}}})@{re.escape(PHONE_SERVER)}")
_PHONE_SHAPE = re.compile(r"\+?[0-9(][0-9 .()/\u00a0-]*")
_WITH_AGENT = re.compile(r"([0-9]{7,})\.[0-9]{1,3}")  # and the device behind it, as the engine's keys have it
_BUSINESS_SCOPED = re.compile(r"[A-Za-z]{2}\.(?:ENT\.)?[A-Za-z0-9]{6,128}")
_JUNK = frozenset(
    {"", "null", "undefined", "none", "nan", "invalid", "unknown", "false", "true", "[object object]"}
)
_SERVERS = {"hosted": PHONE_SERVER, "hosted.lid": LID_SERVER}

_CHAT_NAMES = ("remoteJid", "remoteJidAlt")
_SENDER_NAMES = ("senderPn", "cleanedSenderPn", "cleanSenderPn", "senderLid", "senderAlt")
_MEMBER_NAMES = (
    "participantPn", "cleanedParticipantPn", "participantAlt", "participant", "participantLid",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parties:
    """`address` is the other side as a row names it: digits, `<lid>@lid`, or a group's or channel's JID."""

    chat: str
    address: str
    lid: str | None


# ---------------------------------------------------------------------------------------------- one address


def jid(value: Any) -> str | None:
    """A JID without device and agent part, on one of the two usual servers; None if it is none.

    A phone number without a server (`+1987654321`) becomes its JID, in any formatting.
    """
    if not isinstance(value, str):
        return None
    if _BARE.fullmatch(value):
        return value
    user, at, server = bare_jid(value).partition("@")
    server = _SERVERS.get(server.lower(), server)
    if server in (PHONE_SERVER, LID_SERVER):
        user = user.partition("_")[0]
        user = found[1] if (found := _WITH_AGENT.fullmatch(user)) else user
    if user.strip().lower() in _JUNK:
        return None
    if not at or server == PHONE_SERVER:
        digits = _digits(user)
        if digits is not None and (at or _is_length_of_phone(digits)):
            return f"{digits}@{PHONE_SERVER}"
    return f"{user}@{server}" if at else user


def phone_in(value: Any) -> str | None:
    """The digits of a real phone number, from a JID, a formatted number or an integer; None for anything else.

    Letters, too few or too many digits, and nothing but zeros are no phone number.
    """
    if type(value) is int:
        value = str(value)
    if isinstance(value, str) and (bare := _BARE_PHONE.fullmatch(value)):  # nearly all are
        return bare[1] if bare[1].strip("0") else None
    user, at, server = (jid(value) or "").partition("@")
    if at and server != PHONE_SERVER:
        return None
    digits = _digits(user)
    return digits if digits is not None and _is_length_of_phone(digits) and digits.strip("0") else None


def is_business_scoped(address: str) -> bool:
    """Whether it is an identity such as `US.13491208655302741918`, which a business gets instead of a number."""
    return _BUSINESS_SCOPED.fullmatch(address.partition("@")[0]) is not None


def _digits(text: str) -> str | None:
    """The ASCII digits of what is written like a phone number."""
    if text.isascii() and text.isdigit():
        return text
    return re.sub(r"[^0-9]", "", text) or None if _PHONE_SHAPE.fullmatch(text) else None


def _is_length_of_phone(digits: str) -> bool:
    return MIN_PHONE_DIGITS <= len(digits) <= MAX_PHONE_DIGITS


# ---------------------------------------------------------------------------------------------- a message's key


def key_id(key: Any) -> str | None:
    """WhatsApp's id of a message."""
    value = key.get("id") if isinstance(key, dict) else None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value.strip() or None if isinstance(value, str) else None


def is_from_me(key: dict[str, Any]) -> bool:
    """Whether the phone's owner wrote the message, in any of the forms in which payloads say so."""
    value = key.get("fromMe")
    return (
        value is True or (isinstance(value, str) and value.strip().lower() in ("true", "1")) or (value == 1)
    )


def parties(key: dict[str, Any], from_me: bool) -> Parties | None:
    """Chat and counterpart of a message's key; None if it names no chat."""
    key = _plain(key)
    remote = jid(key.get("remoteJid"))
    if remote is None:
        remote = _chat_of_sender(key, from_me)
        if remote is None:
            return None
    if remote.endswith(_CROWDS):
        return _in_crowd(key, remote, from_me)
    if "@" in remote and not _is_person(remote):
        return Parties(chat=remote, address=remote, lid=None)  # a channel, a bot, whatever comes next
    return _private(key, remote, from_me)


def author_of(key: dict[str, Any], from_me: bool | None = None) -> Author:
    """Who wrote the message of this key, or who makes the change that came under it.

    In a group that is the participant, in a private chat the other side, and the linked number itself where
    `fromMe` says so.
    """
    key = _plain(key)
    mine = is_from_me(key) if from_me is None else from_me
    remote = jid(key.get("remoteJid"))
    if remote is not None and remote.endswith(_CROWDS):
        names: tuple[str, ...] = _MEMBER_NAMES + _SENDER_NAMES
    elif mine:
        names = _SENDER_NAMES
    else:
        names = _CHAT_NAMES + _SENDER_NAMES
    found = _addresses(key, names)
    if mine and remote is not None and not remote.endswith(_CROWDS):
        found -= _addresses(key, _CHAT_NAMES)  # some engines name the chat's address as the sender's
    return Author(mine, found)


def resolved_in(key: dict[str, Any]) -> LidResolved | None:
    """The LID and the number of the counterpart, where the key names both."""
    who = parties(key, is_from_me(key))
    if who is None or who.lid is None or not who.address.isdigit():
        return None
    return LidResolved(who.lid, who.address)


# ---------------------------------------------------------------------------------------------- inside


def _is_person(address: str) -> bool:
    """A number, a LID, a business-scoped identity: the other side of a private chat."""
    _, at, server = address.partition("@")
    return not at or server in (PHONE_SERVER, LID_SERVER) or is_business_scoped(address)


def _chat_of_sender(key: dict[str, Any], from_me: bool) -> str | None:
    """The chat of a key that names only a sender."""
    names = ("remoteJidAlt",) if from_me else ("remoteJidAlt", *_SENDER_NAMES)
    phone = _first_phone(key, names, _lids(key, names))
    if phone is not None:
        return jid_of_phone(phone)
    return next((one for name in names if (one := jid(key.get(name))) is not None and _is_person(one)), None)


def _in_crowd(key: dict[str, Any], remote: str, from_me: bool) -> Parties:
    if from_me:
        return Parties(chat=remote, address=remote, lid=None)
    lids = _lids(key, ("participantLid", "participant", "participantAlt", "senderLid"))
    phone = _first_phone(key, _MEMBER_NAMES + _SENDER_NAMES, lids)
    lid = lids[0] if lids else None
    address = phone or lid or _other_member(key) or remote
    if remote.endswith(_BROADCAST) and remote != STATUS_CHAT and address != remote:
        # WhatsApp shows what came through a sender's broadcast list in the chat with that sender.
        return Parties(chat=jid_of_phone(phone) if phone else address, address=address, lid=lid)
    return Parties(chat=remote, address=address, lid=lid)


def _other_member(key: dict[str, Any]) -> str | None:
    """A member known by neither number nor LID: a business-scoped identity."""
    found = (jid(key.get(name)) for name in _MEMBER_NAMES + _SENDER_NAMES)
    return next((one for one in found if one is not None and is_business_scoped(one)), None)


def _private(key: dict[str, Any], remote: str, from_me: bool) -> Parties:
    names: tuple[str, ...] = _CHAT_NAMES + _SENDER_NAMES
    if from_me and (not is_lid(remote) or jid(key.get("senderLid")) != remote):
        # Here the sender is the linked number itself: its number and LID are not the chat's.
        names = _CHAT_NAMES
    lids = _lids(key, names)
    phone = _real_phone(remote, lids) or _first_phone(
        key, [name for name in names if name != "remoteJid"], lids
    )
    lid = lids[0] if lids else None
    if phone is None:
        address = lid or remote
        return Parties(chat=address, address=address, lid=lid)
    return Parties(chat=jid_of_phone(phone), address=phone, lid=lid)


def _lids(key: dict[str, Any], names: Iterable[str]) -> list[str]:
    found = [jid(key[name]) for name in names if name in key]
    return [address for address in found if address is not None and is_lid(address)]


def _addresses(key: dict[str, Any], names: Sequence[str]) -> frozenset[str]:
    """The people among these fields, each under its JID; numbers that are a LID in disguise are left out."""
    lids = _lids(key, names)
    found: set[str] = set(lids)
    for name in names:
        value = key.get(name)
        address = jid(str(value) if type(value) is int else value)
        if address is None or is_lid(address):
            continue
        phone = _real_phone(address, lids)
        if phone is not None:
            found.add(jid_of_phone(phone))
        elif is_business_scoped(address) or not (_is_person(address) or address.endswith(_CROWDS)):
            found.add(address)  # a channel, a bot; never a junk number, which would make strangers one person
    return frozenset(found)


def _plain(key: dict[str, Any]) -> dict[str, Any]:
    """The key with a LID that stands in a field for phone numbers named as one.

    `addressingMode: "lid"` says that chat or participant are LIDs. Engines that put them on the server of phone
    numbers all the same name the number beside them, or have digits that no country gives out.
    """
    if key.get("addressingMode") != LID_SERVER:
        return key
    remote = jid(key.get("remoteJid")) or ""
    if remote.endswith(_CROWDS):
        name = "participant"
        others: tuple[str, ...] = (
            "participantPn",
            "cleanedParticipantPn",
            "participantAlt",
            "participantLid",
        )
    elif is_from_me(key):  # the sender is the linked number itself
        name, others = "remoteJid", ("remoteJidAlt",)
    else:
        name, others = "remoteJid", ("remoteJidAlt", *_SENDER_NAMES)
    phone = phone_in(jid(key.get(name)))
    lids = _lids(key, others)
    if phone is None or (lids and not _is_disguised(phone, lids)):
        return key
    beside = {other for field in others if (other := phone_in(key.get(field))) is not None}
    is_another = not beside & set(variants_of(phone)) if beside else len(phone) >= MIN_LID_DIGITS
    return {**key, name: f"{phone}@{LID_SERVER}"} if is_another and not is_assigned(phone) else key


def _first_phone(key: dict[str, Any], names: Iterable[str], lids: Sequence[str]) -> str | None:
    """The digits of the first field that names a real phone number."""
    for name in names:
        value = key.get(name)
        if value is not None:
            phone = _real_phone(jid(str(value) if type(value) is int else value), lids)
            if phone is not None:
                return phone
    return None


def _real_phone(address: str | None, lids: Sequence[str]) -> str | None:
    """The digits of a JID, unless they are no phone's, or a LID's in disguise."""
    phone = phone_in(address)
    return None if phone is None or _is_disguised(phone, lids) else phone


def _is_disguised(address: str, lids: Sequence[str]) -> bool:
    user = address.partition("@")[0]
    return any(user == lid.partition("@")[0] for lid in lids)
