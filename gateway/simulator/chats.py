"""What customers and groups do: write, edit, delete, react. Each becomes the webhooks that upstream would
send.
"""

import base64
import secrets
from datetime import UTC, datetime
from typing import Any

from gateway.simulator import contents, identity
from gateway.simulator.attachments import PREPARED
from gateway.simulator.contents import BadContent
from gateway.simulator.engine import Engine
from gateway.simulator.links import WrongState
from gateway.simulator.shapes import WEBHOOK_MODES, Twist
from gateway.simulator.state import Contact, Group, SimulatedSession
from gateway.simulator.webhooks import Delivery

TYPING_S = 10.0
"""How long WhatsApp shows that the other side types, without another word."""
_ALIASES = {"pushName": "push_name", "fromMe": "from_me", "id": "key_id", "duplicates": "copies"}


class Chats:
    """Plays the people on the other side of a session's chats."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.typing: dict[tuple[int, str], tuple[str, float]] = {}
        """By session and chat: what the linked number is doing there, and until when (Unix seconds)."""

    def contact(self, session: SimulatedSession, phone: str, name: str | None = None) -> Contact:
        """The contact of that number.

        Met for the first time, it is remembered, and saved with the next change.
        """
        book = self._engine.world.contacts.setdefault(session.id, {})
        number = identity.digits(phone)
        known = book.setdefault(number, Contact(number, name or "", identity.lid_of(number)))
        if name:
            known.name = name
        return known

    def contact_of_jid(self, session: SimulatedSession, jid: str) -> Contact | None:
        """The person of a private chat, by number or LID."""
        book = self._engine.world.contacts.get(session.id, {})
        if jid.endswith("@lid"):
            return next((person for person in book.values() if person.lid == jid), None)
        return book.get(identity.digits(jid.partition("@")[0]))

    def is_first_contact(self, session: SimulatedSession, jid: str) -> bool:
        """Whether nothing has ever come from this private chat."""
        if not jid.endswith(("@s.whatsapp.net", "@lid", "@c.us")):
            return False
        person = self.contact_of_jid(session, jid)
        return person is None or person.wrote_at is None

    def show_presence(self, session: SimulatedSession, jid: str, kind: str) -> None:
        """The linked number types, records, or has stopped."""
        place = (session.id, jid)
        if kind in ("composing", "recording"):
            self.typing[place] = (kind, self._engine.clock.now() + TYPING_S)
            self._engine.clock.call_later(TYPING_S, self._engine.tell_watchers)
        else:
            self.typing.pop(place, None)
        self._engine.tell_watchers()

    def doing(self, session: SimulatedSession, *jids: str) -> str | None:
        """`composing` or `recording`, in the chat of these addresses, now."""
        now = self._engine.clock.now()
        shown = (self.typing.get((session.id, jid)) for jid in jids)
        return next((kind for kind, until in filter(None, shown) if until > now), None)

    def group(self, session: SimulatedSession, name: str) -> Group:
        """The group of that name or address, made when it is met for the first time."""
        groups = self._engine.world.groups.setdefault(session.id, {})
        jid = identity.group_jid(name)
        if jid not in groups:
            subject = name.partition("@")[0]
            groups[jid] = Group(
                jid, subject, self._engine.clock.now(), session.jid, {session.jid: "superadmin"}
            )
        return groups[jid]

    def receive(self, session: SimulatedSession, raw: dict[str, Any]) -> dict[str, Any]:
        """A message arrives on the phone, or with `from_me` is typed on it.

        Says what it was called and sent as.

        Raises BadContent on a wish that cannot be understood, WrongState when the number is not linked.
        """
        spec = {_ALIASES.get(name, name): value for name, value in raw.items()}
        if session.status != "connected":
            raise WrongState(f"Nothing can arrive: the session is {session.status}.")
        twist = _twist(spec)
        key = self._key(session, spec)
        change = self._change_of_another(spec, key)
        if change is not None:
            message, words = change
        else:
            message, words = contents.inbound(spec, spec.get(PREPARED), self._quoted(session, spec))
        if not isinstance(spec.get("message"), dict):
            message = {**message, "messageContextInfo": _context_info()}
        at = spec.get("timestamp", self._engine.clock.now())
        if not isinstance(at, int | float):
            raise BadContent("timestamp must be Unix seconds.")
        item: dict[str, Any] = {"key": key, "messageTimestamp": int(at), "message": message}
        if spec.get("push_name") and not key["fromMe"]:
            item["pushName"] = str(spec["push_name"])
        if words is not None:
            item["messageBody"] = words
        if spec.get("broadcast"):
            item["broadcast"] = True
        self._engine.world.received[key["id"]] = {"session_id": session.id, "at": at, **item}
        self._note_author(session, spec, key)
        sent = self._announce(session, spec, item, at, twist)
        self._engine.changed(urgent=False)
        return {
            "key_id": key["id"],
            "chat": key["remoteJid"],
            "events": [delivery.event for delivery in sent],
            "deliveries": [delivery.id for delivery in sent],
        }

    def _note_author(self, session: SimulatedSession, spec: dict[str, Any], key: dict[str, Any]) -> None:
        private = not (spec.get("group") or spec.get("channel") or spec.get("status"))
        if private and not key["fromMe"]:
            self.contact(session, str(spec["from"])).wrote_at = self._engine.clock.now()

    def call(self, session: SimulatedSession, raw: dict[str, Any]) -> list[Delivery]:
        """A customer calls. Raises BadContent, and WrongState when the number is not linked."""
        if session.status != "connected":
            raise WrongState(f"No call can come: the session is {session.status}.")
        person = self.contact(session, _phone(raw.get("from")), raw.get("push_name"))
        at = datetime.fromtimestamp(self._engine.clock.now(), UTC)
        call: dict[str, Any] = {
            "id": str(raw.get("id") or secrets.token_hex(16).upper()),
            "from": person.lid if raw.get("addressing") == "lid" else identity.phone_jid(person.phone),
            "date": at.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "isGroup": bool(raw.get("group")),
            "isVideo": bool(raw.get("video")),
            "status": str(raw.get("status") or "offer"),
        }
        forced = bool(raw.get("forced"))
        return self._engine.send_event(
            session, "call", {"call": call}, twist=_twist(raw), forced=forced, key_id=call["id"]
        )

    def event(self, session: SimulatedSession, raw: dict[str, Any]) -> list[Delivery]:
        """Any event with any data, in upstream's envelope. Raises BadContent."""
        name, data = raw.get("event"), raw.get("data")
        if not isinstance(name, str) or not name:
            raise BadContent("An event needs a name in `event`.")
        timed = raw.get("timestamp", True)
        if not isinstance(timed, bool | int | float):
            raise BadContent("timestamp must be a number, or false for none.")
        in_ms = not isinstance(timed, bool) and timed > 10**11
        moment = timed / 1000 if in_ms else timed
        return self._engine.send_event(
            session,
            name,
            data,
            timed=moment,
            in_ms=in_ms,
            twist=_twist(raw),
            forced=bool(raw.get("forced", True)),
        )

    def _announce(
        self, session: SimulatedSession, spec: dict[str, Any], item: dict[str, Any], at: float, twist: Twist
    ) -> list[Delivery]:
        remote, from_me = item["key"]["remoteJid"], item["key"]["fromMe"]
        kind = (
            "group"
            if remote.endswith("@g.us")
            else "newsletter"
            if remote.endswith("@newsletter")
            else "personal"
        )
        ignored = {"group": "ignore_groups", "newsletter": "ignore_channels"}.get(kind)
        if (ignored and session.options.get(ignored)) or (
            remote.endswith("@broadcast") and session.options.get("ignore_broadcasts")
        ):
            return []
        events = ["messages.upsert"]
        if not from_me:
            events = ["messages.received", f"messages-{kind}.received", "messages.upsert"]
        wanted = spec.get("events")
        if isinstance(wanted, list):
            events = [str(name) for name in wanted]
        deliveries: list[Delivery] = []
        for event in events:
            deliveries += self._engine.send_event(
                session,
                event,
                {"messages": item},
                timed=at,
                key_id=item["key"]["id"],
                twist=twist,
                forced=isinstance(wanted, list),
            )
        return deliveries

    def _key(self, session: SimulatedSession, spec: dict[str, Any]) -> dict[str, Any]:
        """Who wrote where, in the addressing of today: by LID, with the phone number beside it."""
        key_id = str(spec.get("key_id") or identity.new_key_id())
        key: dict[str, Any] = {"id": key_id, "fromMe": bool(spec.get("from_me"))}
        if spec.get("channel"):
            return key | {"remoteJid": identity.channel_jid(str(spec["channel"]))}
        author = spec.get("from")
        if spec.get("group") and key["fromMe"]:
            return key | {"remoteJid": self.group(session, str(spec["group"])).jid, "addressingMode": "lid"}
        person = self.contact(session, _phone(author), None if key["fromMe"] else spec.get("push_name"))
        if spec.get("lid_unknown"):
            person.lid_known = False
        pn, by_lid = identity.phone_jid(person.phone), spec.get("addressing", "lid") == "lid"
        key["addressingMode"] = "lid" if by_lid else "pn"
        if spec.get("group"):
            group = self.group(session, str(spec["group"]))
            group.participants.setdefault(person.lid, None)
            return key | {
                "remoteJid": group.jid,
                "participant": person.lid if by_lid else pn,
                "participantPn": pn,
                "cleanedParticipantPn": person.phone,
                "participantLid": person.lid,
            }
        key["remoteJid"] = "status@broadcast" if spec.get("status") else person.lid if by_lid else pn
        if key["fromMe"]:
            # The sender is the number itself: only the alternative address tells who the chat is with.
            return key | {"remoteJidAlt": pn if by_lid else person.lid}
        return key | {"senderPn": pn, "cleanedSenderPn": person.phone, "senderLid": person.lid}

    def _quoted(self, session: SimulatedSession, spec: dict[str, Any]) -> dict[str, Any] | None:
        """The message that a new one answers, of either side; None where there is none of that key."""
        key_id, world = spec.get("reply_to"), self._engine.world
        if not isinstance(key_id, str):
            return None
        if (item := world.received.get(key_id)) is not None:
            return dict(item["message"])
        found = (sent.message for sent in world.of_session(session.id) if sent.key_id == key_id)
        return next(found, None)

    def _change_of_another(
        self, spec: dict[str, Any], key: dict[str, Any]
    ) -> tuple[dict[str, Any], str | None] | None:
        """Edits, deletions and reactions travel as messages that point at another one; None for a plain
        message.
        """
        for kind in ("edit", "delete", "reaction"):
            wish = spec.get(kind)
            if wish is None:
                continue
            if not isinstance(wish, dict) or not wish.get("key_id"):
                raise BadContent(f"{kind} must be an object with the key_id of the message it is about.")
            target = {
                "remoteJid": key["remoteJid"],
                "fromMe": bool(wish.get("from_me")),
                "id": wish["key_id"],
            }
            if kind == "reaction":
                return {"reactionMessage": {"key": target, "text": str(wish.get("text", "👍"))}}, None
            if kind == "delete":
                return {"protocolMessage": {"key": target, "type": 0}}, None
            words = str(wish.get("text", ""))
            edited = {"key": target, "type": 14, "editedMessage": {"conversation": words}}
            return {"protocolMessage": edited}, words
        return None


def _phone(value: Any) -> str:
    if not isinstance(value, str) or not identity.is_phone(value):
        raise BadContent("from must be a phone number in international form, such as +491701234567.")
    return value


def _context_info() -> dict[str, Any]:
    """What travels with every message and says nothing to a reader; a quote has to give it back unchanged."""
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    return {
        "deviceListMetadata": {"senderKeyHash": secret[:12] + "==", "senderTimestamp": "1750000000"},
        "deviceListMetadataVersion": 2,
        "messageSecret": secret,
    }


def _twist(spec: dict[str, Any]) -> Twist:
    """The oddities a tester asks for in one message: `"modes": [...]`, or the mode's name as a true field."""
    modes = {name for name in WEBHOOK_MODES if spec.get(name) is True}
    wished = spec.get("modes", [])
    if not isinstance(wished, list) or not WEBHOOK_MODES.issuperset(map(str, wished)):
        raise BadContent(f"modes must be a list out of {', '.join(sorted(WEBHOOK_MODES))}.")
    modes |= set(wished)
    copies, delay_ms = spec.get("copies", 2 if "duplicate" in modes else 1), spec.get("delay_ms", 0)
    if not isinstance(copies, int) or not 1 <= copies <= 100:
        raise BadContent("copies must be 1 to 100.")
    if not isinstance(delay_ms, int) or not 0 <= delay_ms <= 600_000:
        raise BadContent("delay_ms must be 0 to 600000.")
    return Twist(frozenset(modes), copies, delay_ms)
