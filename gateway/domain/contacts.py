"""People and groups: which addresses are one person, who wrote something, who stands in the address book.

A person has a phone number, a LID (`<digits>@lid`), or both, and in some countries a number has two spellings.
`variants_of` knows the spellings.
"""

import re
from dataclasses import dataclass
from typing import Literal

from gateway.domain.message import PHONE_SERVER

MIN_PHONE_DIGITS = 7
"""The shortest international numbers: a country code of three digits and a number of four."""
MAX_PHONE_DIGITS = 15
"""ITU-T E.164."""

MIN_LID_DIGITS = 14
"""Of a LID. Few phone numbers are as long, so only those are looked at twice."""

# Two spellings of one number, as WhatsApp itself mixes them: (the one people dial, the other one).
_BRAZIL = (re.compile(r"55([1-9]{2})9([6-9][0-9]{7})"), re.compile(r"55([1-9]{2})([6-9][0-9]{7})"))
_MEXICO = (re.compile(r"52([2-9][0-9]{9})"), re.compile(r"521([2-9][0-9]{9})"))
_ARGENTINA = (re.compile(r"549([1-3][0-9]{9})"), re.compile(r"54([1-3][0-9]{9})"))
_SPELLINGS = (
    (*_BRAZIL, r"55\g<1>9\g<2>", r"55\g<1>\g<2>"),
    (*_MEXICO, r"52\g<1>", r"521\g<1>"),
    (*_ARGENTINA, r"549\g<1>", r"54\g<1>"),
)


def variants_of(phone: str) -> tuple[str, ...]:
    """All spellings of a phone number (digits only), the canonical one first; one where it has no other.

    - Brazil: mobile numbers got a 9 before their eight digits; WhatsApp keeps old accounts without it. Both are one
      where the eight digits begin with 6 to 9: `55 31 9 8877-6655` is `55 31 8877-6655`. Digits that begin
      with 2 to 5 are a landline, which has no 9.
    - Mexico: WhatsApp writes `52 1` and ten digits where people dial `52` and ten digits.
    - Argentina: WhatsApp writes `54 9` and ten digits for mobiles; without the 9 it is the same person.
    """
    for dialled, other, as_dialled, as_other in _SPELLINGS:
        found = dialled.fullmatch(phone) or other.fullmatch(phone)
        if found:
            return found.expand(as_dialled), found.expand(as_other)
    return (phone,)


def jid_variants(jid: str) -> tuple[str, ...]:
    """`variants_of` for a JID, the canonical one first; a LID, a group and the like have one."""
    user, at, server = jid.partition("@")
    if not at or server != PHONE_SERVER:
        return (jid,)
    return tuple(f"{phone}@{server}" for phone in variants_of(user))


# ---------------------------------------------------------------------------------------------- authors


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote a message, or who changes one, under every address that is known.

    `is_me` says that it is the linked number itself, on the phone or through the API. `addresses` are JIDs without
    a device: `<digits>@s.whatsapp.net`, `<digits>@lid`, or another identity as it came.
    """

    is_me: bool = False
    addresses: frozenset[str] = frozenset()


# ---------------------------------------------------------------------------------------------- address book

ContactKind = Literal["person", "group", "channel", "broadcast", "other"]
MemberAction = Literal["set", "add", "remove", "promote", "demote", "modify"]


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a group, under the addresses that its payload names."""

    jid: str
    lid: str | None = None
    phone: str | None = None
    is_admin: bool = False
    """True for the group's founder too."""
    is_owner: bool = False
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """What one webhook says of a person or a group. A field that is None was not named: what is stored stays.

    `jid` is the address to keep it under: the number's JID where the number is known, else the LID, a group's JID.
    `name` is the one the owner of the phone gave, or a group's subject; `push_name` is the one its bearer chose, or a
    business' verified name.
    """

    jid: str
    kind: ContactKind
    lid: str | None = None
    phone: str | None = None
    name: str | None = None
    push_name: str | None = None
    members: tuple[Member, ...] | None = None


@dataclass(frozen=True, slots=True)
class MembersChanged:
    """Members of a group came, went, became admins or ceased to be."""

    group: str
    action: MemberAction
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class LidResolved:
    """A LID and a phone number (digits) that are one person."""

    lid: str
    phone: str


ContactFact = Contact | MembersChanged | LidResolved
