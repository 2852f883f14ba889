"""Made-up names of things, in the form the real ones have: keys, ids, codes, WhatsApp addresses.

A LID is derived from the phone number, so that the same customer has the same one in every session and run.
"""

import base64
import hashlib
import re
import secrets

_JID = re.compile(r"^[0-9A-Za-z.\-]+(:\d+)?@(s\.whatsapp\.net|c\.us|lid|g\.us|newsletter|broadcast)$")


def new_account_token() -> str:
    """A new account token, in the form of Laravel's."""
    return f"1|{secrets.token_urlsafe(30)}"


def new_api_key() -> str:
    """A new API key of a session."""
    return secrets.token_hex(32)


def new_webhook_secret() -> str:
    """A new webhook secret of a session."""
    return secrets.token_hex(16)


def new_key_id() -> str:
    """WhatsApp's own id of a message, as its web clients make them."""
    return "3EB0" + secrets.token_hex(9).upper()


def new_code() -> str:
    """The content of a QR code: a reference and three 32-byte keys, comma-separated."""
    ref = base64.b64encode(secrets.token_bytes(66)).decode()
    keys = (base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(3))
    return ",".join(("2@" + ref, *keys))


def digits(text: str) -> str:
    """The digits of the text, and nothing else."""
    return re.sub(r"\D", "", text)


def is_phone(text: str) -> bool:
    """Whether this is a phone number in international form, with or without `+`, spaces and dashes."""
    return bool(re.fullmatch(r"\+?[0-9 ()\-]{5,24}", text.strip())) and 5 <= len(digits(text)) <= 15


def is_jid(text: str) -> bool:
    """Whether it is an address of WhatsApp's."""
    return bool(_JID.match(text))


def phone_jid(phone: str) -> str:
    """The address of a phone number, whatever else than digits it is written with."""
    return f"{digits(phone)}@s.whatsapp.net"


def lid_of(phone: str) -> str:
    """The LID of a phone number: 15 digits that are not its number."""
    number = int.from_bytes(hashlib.sha256(digits(phone).encode()).digest()[:8], "big")
    return f"{10**14 + number % (9 * 10**14)}@lid"


def group_jid(name: str) -> str:
    """The JID of a simulated group of that name (or the JID itself, if it is one)."""
    if name.endswith("@g.us"):
        return name
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")
    return f"120363{number % 10**12:012d}@g.us"


def channel_jid(name: str) -> str:
    """The address of a channel; the same for the same name."""
    if name.endswith("@newsletter"):
        return name
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[7:14], "big")
    return f"120364{number % 10**12:012d}@newsletter"
