"""Who wrote, and in which chat: WhatsApp's two kinds of address, sorted out.

A person has a phone number (PN) and a LID, an opaque number that looks like one. Upstream names either or
both, under a dozen names. The digits of a LID are never taken for a phone number, not even where upstream
itself puts them in a field for phone numbers.
"""

import re
from dataclasses import dataclass
from typing import Any

from gateway.domain.message import LID_SERVER, PHONE_SERVER, bare_jid, is_lid, jid_of_phone, phone_of

_MAX_PHONE_DIGITS = 15  # ITU-T E.164
_CROWDS = ("@g.us", "@broadcast")
_BARE = re.compile(rf"[0-9]+@({re.escape(PHONE_SERVER)}|{LID_SERVER})")  # nearly all: nothing to take off


@dataclass(frozen=True, slots=True)
class Parties:
    """`address` is the other side as a row names it: digits, `<lid>@lid`, or a group's or channel's JID."""

    chat: str
    address: str
    lid: str | None


def jid(value: Any) -> str | None:
    """A JID without device and agent part, on one of the two usual servers; None if it is not text."""
    if not isinstance(value, str) or not value.strip():
        return None
    if _BARE.fullmatch(value):
        return value
    user, at, server = bare_jid(value).partition("@")
    server = {"hosted": PHONE_SERVER, "hosted.lid": LID_SERVER}.get(server, server)
    if server in (PHONE_SERVER, LID_SERVER):
        user = user.partition("_")[0]
    if not user:
        return None
    return f"{user}@{server}" if at else user


def key_id(key: Any) -> str | None:
    """WhatsApp's id of a message."""
    value = key.get("id") if isinstance(key, dict) else None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return value.strip() or None if isinstance(value, str) else None


def is_from_me(key: dict[str, Any]) -> bool:
    """Whether the phone's owner wrote the message, in any of the forms in which payloads say so."""
    value = key.get("fromMe")
    return value is True or (isinstance(value, str) and value.lower() == "true") or (value == 1)


def parties(key: dict[str, Any], from_me: bool) -> Parties | None:
    """Chat and counterpart of a message's key; None if it names no chat."""
    remote = jid(key.get("remoteJid"))
    if remote is None and not from_me:
        phone = _first_phone(key, ("senderPn", "cleanedSenderPn"), ())
        remote = jid_of_phone(phone) if phone else jid(key.get("senderLid"))
    if remote is None:
        return None
    if remote.endswith(_CROWDS):
        return _in_crowd(key, remote, from_me)
    if "@" in remote and not is_lid(remote) and phone_of(remote) is None:
        return Parties(chat=remote, address=remote, lid=None)  # a channel, a bot, whatever comes next
    return _private(key, remote, from_me)


def _in_crowd(key: dict[str, Any], remote: str, from_me: bool) -> Parties:
    if from_me:
        return Parties(chat=remote, address=remote, lid=None)
    lids = _lids(key, ("participantLid", "participant", "participantAlt", "senderLid"))
    names = (
        "participantPn",
        "cleanedParticipantPn",
        "participantAlt",
        "participant",
        "senderPn",
        "cleanedSenderPn",
    )
    lid = lids[0] if lids else None
    return Parties(chat=remote, address=_first_phone(key, names, lids) or lid or remote, lid=lid)


def _private(key: dict[str, Any], remote: str, from_me: bool) -> Parties:
    lids = _lids(key, ("remoteJid", "remoteJidAlt", "senderLid"))
    names: tuple[str, ...] = ("senderPn", "cleanedSenderPn", "remoteJidAlt")
    if from_me and (not is_lid(remote) or jid(key.get("senderLid")) != remote):
        # Here the sender is the linked number itself: its number and LID are not the chat's.
        lids = _lids(key, ("remoteJid", "remoteJidAlt"))
        names = ("remoteJidAlt",)
    phone = _real_phone(remote, lids) or _first_phone(key, names, lids)
    lid = lids[0] if lids else None
    if phone is None:
        return Parties(chat=remote, address=lid or remote, lid=lid)
    return Parties(chat=jid_of_phone(phone), address=phone, lid=lid)


def _lids(key: dict[str, Any], names: tuple[str, ...]) -> list[str]:
    found = [jid(key[name]) for name in names if name in key]
    return [address for address in found if address is not None and is_lid(address)]


def _first_phone(key: dict[str, Any], names: tuple[str, ...], lids: list[str] | tuple[()]) -> str | None:
    """The digits of the first field that names a real phone number."""
    for name in names:
        value = key.get(name)
        if value is not None:
            phone = _real_phone(jid(str(value) if type(value) is int else value), lids)
            if phone is not None:
                return phone
    return None


def _real_phone(address: str | None, lids: list[str] | tuple[()]) -> str | None:
    """The digits of a JID, unless they are no phone's, or a LID's in disguise."""
    phone = phone_of(address)
    if phone is None or not phone.isascii() or len(phone) > _MAX_PHONE_DIGITS:
        return None
    return None if any(phone == lid.partition("@")[0] for lid in lids) else phone
