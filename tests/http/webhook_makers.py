"""Webhooks of invented people, for the tests of what is true."""

import base64
import time
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NINA, OLEG, PIA = "4915112345671", "4915112345672", "4915112345673"
GROUP = "120363777000111222@g.us"
_NOW = int(time.time())


def jid(phone: str) -> str:
    return phone if "@" in phone else f"{phone}@s.whatsapp.net"


def key(key_id: str, chat: str, *, mine: bool = False, by: str | None = None, **more: Any) -> dict[str, Any]:
    named = {} if by is None else {"participant": jid(by)}
    return {"id": key_id, "fromMe": mine, "remoteJid": jid(chat), **named, **more}


def element(key_of_it: dict[str, Any], content: Any, *, ago: int = 10, **more: Any) -> dict[str, Any]:
    """A message that was written `ago` seconds before this test began."""
    return {
        "key": key_of_it,
        "messageTimestamp": _NOW - ago,
        "message": content,
        "pushName": "Somebody",
        **more,
    }


def upsert(*elements: Any) -> dict[str, Any]:
    return {"event": "messages.upsert", "timestamp": _NOW, "data": {"messages": list(elements)}}


def update(key_of_it: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    return {"event": "messages.update", "timestamp": _NOW, "data": [{"key": key_of_it, "update": body}]}


def said(key_id: str, chat: str, text: str = "Hi", *, ago: int = 60, **more: Any) -> dict[str, Any]:
    return upsert(element(key(key_id, chat, **more), {"conversation": text}, ago=ago))


def edit(target: str, chat: str, text: str, *, ago: int = 20, **more: Any) -> dict[str, Any]:
    content = {
        "protocolMessage": {
            "key": {"id": target}, "type": "MESSAGE_EDIT", "timestampMs": (_NOW - ago) * 1000,
            "editedMessage": {"conversation": text},
        }
    }  # fmt: skip
    return upsert(element(key(f"{target}-edit-{ago}", chat, **more), content, ago=ago))


def revoke(target: str, chat: str, **more: Any) -> dict[str, Any]:
    content = {"protocolMessage": {"key": {"id": target}, "type": 0}}
    return upsert(element(key(f"{target}-revoke", chat, **more), content))


def react(target: str, chat: str, emoji: str, *, ago: int = 10, **more: Any) -> dict[str, Any]:
    content = {
        "reactionMessage": {"key": {"id": target}, "text": emoji, "senderTimestampMs": (_NOW - ago) * 1000}
    }
    return upsert(element(key(f"{target}-react-{ago}", chat, **more), content, ago=ago))


def deleted(*keys: dict[str, Any]) -> dict[str, Any]:
    return {"event": "messages.delete", "timestamp": _NOW, "data": {"keys": list(keys)}}


def group(*ranks: tuple[str, str | None], subject: str = "Bakers") -> dict[str, Any]:
    members = [{"id": jid(phone), "admin": rank} for phone, rank in ranks]
    return {
        "event": "groups.upsert",
        "timestamp": _NOW,
        "data": [{"id": GROUP, "subject": subject, "participants": members}],
    }


def contact(jid_of_it: str, **fields: Any) -> dict[str, Any]:
    return {"event": "contacts.upsert", "timestamp": _NOW, "data": [{"id": jid_of_it, **fields}]}


def status(word: str, *, ago: int | None = 0) -> dict[str, Any]:
    timed = {} if ago is None else {"timestamp": int(time.time()) - ago}
    return {"event": "session.status", "data": {"status": word}, **timed}


SECRET = bytes(range(32))


def sealed_edit(text: str, author: str = NINA) -> dict[str, Any]:
    """An edit as current phones send it: encrypted with the secret of the message."""
    inner = b"\x0a" + bytes([len(text)]) + text.encode()
    protocol = b"\x10\x0e" + b"\x72" + bytes([len(inner)]) + inner
    plain = b"\x62" + bytes([len(protocol)]) + protocol
    info = f"S{jid(author)}{jid(author)}Message Edit".encode()
    iv = bytes(12)
    cipher = AESGCM(HKDF(SHA256(), 32, None, info).derive(SECRET)).encrypt(iv, plain, None)
    part = {
        "targetMessageKey": key("S", author),
        "secretEncType": 2,
        "encPayload": base64.b64encode(cipher).decode(),
        "encIv": base64.b64encode(iv).decode(),
    }
    return upsert(element(key("S-edit", author), {"secretEncryptedMessage": part}))


def with_secret(author: str = NINA) -> dict[str, Any]:
    info = {"messageSecret": base64.b64encode(SECRET).decode()}
    return upsert(element(key("S", author), {"conversation": "old", "messageContextInfo": info}, ago=60))
