"""A chat as the customer's phone shows it: what it wrote and what the shop sent, in one order. Pure."""

from typing import Any

from gateway.simulator import contents, identity
from gateway.simulator.contents import MEDIA_TYPES, unwrapped
from gateway.simulator.files import name_in
from gateway.simulator.state import SentMessage, SimulatedSession, World

MAX_SHOWN = 200


def chats_of(world: World, session: SimulatedSession) -> list[dict[str, Any]]:
    """The private chats of a session, the one that moved last first."""
    chats: dict[str, dict[str, Any]] = {}
    for person in world.contacts.get(session.id, {}).values():
        chats[person.phone] = {"phone": person.phone, "name": person.name, "at": person.wrote_at or 0.0}
    for sent in world.of_session(session.id):
        if (phone := _phone_of(world, session, sent.jid)) is None:
            continue
        chat = chats.setdefault(phone, {"phone": phone, "name": "", "at": 0.0})
        chat["at"] = max(chat["at"], sent.created_at)
    return sorted(chats.values(), key=lambda chat: (-chat["at"], chat["phone"]))


def sent_to(world: World, session: SimulatedSession, phone: str) -> list[SentMessage]:
    """What a session has sent to one customer, by number or LID."""
    return [one for one in world.of_session(session.id) if _phone_of(world, session, one.jid) == phone]


def messages_of(world: World, session: SimulatedSession, phone: str) -> list[dict[str, Any]]:
    """The newest messages of one chat, oldest of them first."""
    addresses = {identity.phone_jid(phone), identity.lid_of(phone)}
    changes: dict[str, dict[str, Any]] = {}
    rows: list[tuple[float, dict[str, Any]]] = []
    for key_id, item in world.received.items():
        if item["session_id"] != session.id or item["key"]["remoteJid"] not in addresses:
            continue
        if (change := _change(item["message"])) is not None:
            changes.setdefault(change["target"], {}).update(change)
        else:
            rows.append((item.get("at", item["messageTimestamp"]), _received(key_id, item)))
    rows += [(sent.created_at, _sent(sent)) for sent in sent_to(world, session, phone)]
    rows.sort(key=lambda row: row[0])
    return [_changed(row, changes.get(row["id"])) for _, row in rows[-MAX_SHOWN:]]


def _received(key_id: str, item: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": key_id,
        "from_shop": item["key"]["fromMe"],
        "at": item["messageTimestamp"],
        "read": bool(item.get("read")),
        **_content(item["message"], item.get("messageBody")),
    }


def _sent(sent: SentMessage) -> dict[str, Any]:
    return {
        "id": sent.key_id,
        "msgId": sent.msg_id,
        "from_shop": True,
        "at": sent.created_at,
        "state": sent.state,
        "edited": sent.edited,
        "deleted": sent.deleted,
        "failed": sent.failed_reason,
        **_content(sent.message, None),
    }


def _content(message: dict[str, Any], words: str | None) -> dict[str, Any]:
    inner = unwrapped(message)
    shown: dict[str, Any] = {"text": words or contents.words_of(inner), "kind": "text", "file": None}
    for kind in MEDIA_TYPES:
        part = inner.get(f"{kind}Message")
        if isinstance(part, dict):
            mime = str(part.get("mimetype", "")).partition(";")[0]
            name = part.get("fileName")
            shown |= {
                "kind": kind,
                "file": {"name": name_in(str(part.get("url"))), "mime": mime, "title": name},
            }
    for kind, name in (("location", "locationMessage"), ("contact", "contactMessage")):
        part = inner.get(name)
        if isinstance(part, dict):
            shown |= {"kind": kind, "text": str(part.get("displayName") or _place(part))}
    context: dict[str, Any] = next(
        (p["contextInfo"] for p in inner.values() if isinstance(p, dict) and p.get("contextInfo")), {}
    )
    quoted = context.get("quotedMessage")
    shown["quoted"] = (contents.words_of(quoted) or "…") if isinstance(quoted, dict) else None
    return shown


def _place(part: dict[str, Any]) -> str:
    return str(part.get("name") or f"{part.get('degreesLatitude')}, {part.get('degreesLongitude')}")


def _change(message: dict[str, Any]) -> dict[str, Any] | None:
    """What an edit, deletion or reaction does to which message; None for a message of its own."""
    reaction = message.get("reactionMessage")
    if isinstance(reaction, dict):
        return {"target": reaction["key"]["id"], "reaction": reaction.get("text") or None}
    protocol = message.get("protocolMessage")
    if not isinstance(protocol, dict):
        return None
    target = protocol["key"]["id"]
    if protocol.get("type") == 14:
        return {"target": target, "edited": True, "text": contents.words_of(protocol["editedMessage"])}
    return {"target": target, "deleted": True}


def _changed(row: dict[str, Any], change: dict[str, Any] | None) -> dict[str, Any]:
    return {**row, **{name: value for name, value in (change or {}).items() if name != "target"}}


def _phone_of(world: World, session: SimulatedSession, jid: str) -> str | None:
    """The digits of a private chat; a LID only where its person is known."""
    user, _, server = jid.partition("@")
    if server in ("s.whatsapp.net", "c.us"):
        return identity.digits(user.partition(":")[0])
    if server == "lid":
        book = world.contacts.get(session.id, {}).values()
        return next((person.phone for person in book if person.lid == jid), None)
    return None
