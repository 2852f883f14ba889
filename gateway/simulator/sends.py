"""What becomes of a message after `/send-message` took it over: sent, delivered, read, or failed.

The reply says only `in_progress`. Later come `message.sent`, the echo in `messages.upsert`, and one
`messages.update` per state; numbers in them: 0 error, 1 pending, 2 sent, 3 delivered, 4 read, 5 played. Modes
(`faults.SEND_MODES`) change what comes, in which order, and whether anything comes.
"""

from typing import Any

from gateway.simulator import contents, identity
from gateway.simulator.chats import Chats
from gateway.simulator.clock import Timer
from gateway.simulator.engine import Engine
from gateway.simulator.faults import SEND_ODDITIES
from gateway.simulator.ledger import Ledger
from gateway.simulator.state import SentMessage, SimulatedSession
from gateway.simulator.webhooks import Delivery

ERROR, PENDING, SENT, DELIVERED, READ, PLAYED = range(6)
RESTRICTED = "WhatsApp does not let this account start new chats for now (error 463)."
_EARLY_S = 5.0


class Sends:
    """Takes messages and moves each from state to state, with the webhooks that tell of it."""

    def __init__(self, engine: Engine, chats: Chats, ledger: Ledger) -> None:
        self._engine = engine
        self._chats = chats
        self._ledger = ledger
        self._timers: dict[int, Timer] = {}
        world = engine.world
        world.next_msg_id = max(world.next_msg_id, ledger.last_msg_id + 1)

    # ------------------------------------------------------------------ taking over

    def accept(
        self,
        session: SimulatedSession,
        request: dict[str, Any],
        message: dict[str, Any],
        *,
        media: dict[str, Any] | None = None,
        will_fail: str | None = None,
    ) -> SentMessage:
        """Takes over a request that has been checked; it stands in the ledger when this returns."""
        world, now = self._engine.world, self._engine.clock.now()
        to = str(request["to"])
        sent = SentMessage(
            msg_id=world.next_msg_id,
            session_id=session.id,
            to=to,
            jid=jid_of(to),
            request=request,
            message=message,
            key_id=identity.new_key_id(),
            created_at=now,
            updated_at=now,
            media=media,
            will_fail=will_fail,
        )
        self._apply_modes(session, sent)
        world.next_msg_id += 1
        self._ledger.add(ledger_row(sent))
        world.sent[sent.msg_id] = sent
        self._chats.typing.pop((session.id, sent.jid), None)
        self._engine.changed()
        self._schedule(sent)
        return sent

    def _apply_modes(self, session: SimulatedSession, sent: SentMessage) -> None:
        faults = self._engine.faults
        sent.oddities = [name for name in sorted(SEND_ODDITIES) if faults.take_mode(name, session.id)]
        scripted = faults.use_mode("states", session.id)
        if scripted is not None:
            sent.script = list(scripted.states or [])
        elif not self._engine.settings.plays_by_itself:
            sent.script = [SENT]
        if faults.take_mode("never_sent", session.id):
            sent.oddities.append("never_sent")
        if self._chats.is_first_contact(session, sent.jid) and faults.take_mode(
            "restricted_later", session.id
        ):
            sent.will_fail = f"Failed to send message: {RESTRICTED}"
        if faults.take_mode("send_fails", session.id):
            sent.will_fail = f"Failed to send message: Invalid number JID: {sent.to}"

    async def announce_early(self, sent: SentMessage) -> None:
        """With the mode for it: all that follows at once is delivered before this returns."""
        session = self._engine.world.sessions.get(sent.session_id)
        if "sent_early" not in sent.oddities or session is None:
            return
        self._cancel(sent.msg_id)
        deliveries = self._first_step(session, sent)
        ends_at = self._engine.clock.now() + _EARLY_S
        while any(one.outcome == "waiting" for one in deliveries) and self._engine.clock.now() < ends_at:
            await self._engine.wait_for_change(self._engine.version, 0.5)

    # ------------------------------------------------------------------ later changes

    def retry(self, sent: SentMessage) -> None:
        """Sends a failed message once more."""
        sent.state, sent.failed_reason, sent.will_fail, sent.announced = PENDING, None, None, False
        self._ledger.add({**ledger_row(sent), "resent": True})
        self._engine.changed()
        self._schedule(sent)

    def edit(self, session: SimulatedSession, sent: SentMessage, words: str) -> dict[str, Any]:
        """The protocol message of an edit, as upstream returns it; the echo carries it too."""
        now = self._engine.clock.now()
        sent.message, sent.updated_at, sent.edited = contents.reworded(sent.message, words), now, True
        protocol = {
            "protocolMessage": {
                "key": sent.key,
                "type": 14,
                "timestampMs": str(int(now * 1000)),
                "editedMessage": {"extendedTextMessage": {"text": words}},
            }
        }
        self._echo(session, sent, protocol, key_id=identity.new_key_id())
        self._engine.changed(urgent=False)
        return protocol

    def delete(self, session: SimulatedSession, sent: SentMessage) -> None:
        """For everyone. Upstream does not know the message afterwards; the chat shows that there was one."""
        sent.deleted = True
        self._cancel(sent.msg_id)
        self._engine.send_event(session, "messages.delete", {"keys": [sent.key]})
        revoked = {"protocolMessage": {"key": sent.key, "type": 0}}
        self._echo(session, sent, revoked, key_id=identity.new_key_id())
        self._engine.changed()

    def report(self, session: SimulatedSession, sent: SentMessage, state: int) -> list[Delivery]:
        """A delivery state is told, whatever came before."""
        if state == ERROR:
            sent.state, sent.failed_reason = ERROR, "WhatsApp refused the message."
        elif sent.state != ERROR:
            sent.state = max(sent.state, state)
        sent.updated_at = self._engine.clock.now()
        update = {"update": {"status": state}, "key": self._key(sent)}
        told = self._engine.send_event(session, "messages.update", update, in_ms=True, key_id=sent.key_id)
        if sent.jid.endswith("@g.us") and state in (DELIVERED, READ):
            told += self._receipts(session, sent, state)
        self._engine.changed(urgent=False)
        return told

    # ------------------------------------------------------------------ lifecycle

    def forget(self, session_id: int) -> None:
        """Forgets all messages of a session, and what would still happen to them."""
        for sent in self._engine.world.of_session(session_id):
            self._cancel(sent.msg_id)
            del self._engine.world.sent[sent.msg_id]

    def resume(self) -> None:
        """After a start: what was under way goes on."""
        for sent in self._engine.world.sent.values():
            self._schedule(sent)

    def stop(self) -> None:
        """Ends all that would happen later."""
        for msg_id in list(self._timers):
            self._cancel(msg_id)

    def _cancel(self, msg_id: int) -> None:
        timer = self._timers.pop(msg_id, None)
        if timer is not None:
            timer.cancel()

    # ------------------------------------------------------------------ step by step

    def _schedule(self, sent: SentMessage) -> None:
        settings = self._engine.settings
        if sent.deleted or sent.state == ERROR or "never_sent" in sent.oddities:
            return
        if not sent.announced:
            delay_s = settings.sent_delay_s
        elif sent.script:
            delay_s = settings.read_delay_s if sent.script[0] >= READ else settings.delivered_delay_s
        else:
            return
        self._timers[sent.msg_id] = self._engine.clock.call_later(delay_s, lambda: self._step(sent))

    def _step(self, sent: SentMessage) -> None:
        self._timers.pop(sent.msg_id, None)
        session = self._engine.world.sessions.get(sent.session_id)
        if session is None:
            return
        if not sent.announced:
            self._first_step(session, sent)
            return
        self.report(session, sent, sent.script.pop(0))
        self._schedule(sent)

    def _first_step(self, session: SimulatedSession, sent: SentMessage) -> list[Delivery]:
        if session.status != "connected":
            return self._fail(session, sent, "WhatsApp session is not connected.")
        if sent.will_fail:
            return self._fail(session, sent, sent.will_fail)
        sent.announced, sent.updated_at = True, self._engine.clock.now()
        told = self._announce(session, sent)
        if sent.script and sent.script[0] == SENT:
            told += self.report(session, sent, sent.script.pop(0))
        self._engine.changed(urgent=False)
        self._schedule(sent)
        return told

    def _announce(self, session: SimulatedSession, sent: SentMessage) -> list[Delivery]:
        key = self._key(sent)
        if "plus_jid" in sent.oddities and sent.jid.endswith("@s.whatsapp.net"):
            key["remoteJid"] = f"+{identity.digits(sent.jid)}"
        body: dict[str, Any] = {"key": key, "message": sent.message, "success": True}
        if "msg_id_in_sent" in sent.oddities:
            body["msgId"] = sent.msg_id
        if "upsert_first" in sent.oddities:
            told = self._echo(session, sent, sent.message)
            return told + self._engine.send_event(session, "message.sent", body, key_id=sent.key_id)
        told = self._engine.send_event(session, "message.sent", body, key_id=sent.key_id)
        return told + self._echo(session, sent, sent.message)

    def _echo(
        self, session: SimulatedSession, sent: SentMessage, message: dict[str, Any], key_id: str | None = None
    ) -> list[Delivery]:
        """What the linked number itself wrote, as every linked device hears it."""
        key = self._key(sent) | ({"id": key_id} if key_id else {})
        item = {
            "key": key,
            "messageTimestamp": int(self._engine.clock.now()),
            "message": message,
            "status": SENT,
        }
        words = contents.words_of(message)
        if words:
            item["messageBody"] = words
        return self._engine.send_event(session, "messages.upsert", {"messages": item}, key_id=key["id"])

    def _key(self, sent: SentMessage) -> dict[str, Any]:
        if "sent_as_lid" in sent.oddities and sent.jid.endswith("@s.whatsapp.net"):
            lid = identity.lid_of(sent.jid.partition("@")[0])
            return sent.key | {"remoteJid": lid, "remoteJidAlt": sent.jid, "addressingMode": "lid"}
        return sent.key

    def _receipts(self, session: SimulatedSession, sent: SentMessage, state: int) -> list[Delivery]:
        group = self._engine.world.groups.get(session.id, {}).get(sent.jid)
        at = int(self._engine.clock.now())
        told: list[Delivery] = []
        for member in group.participants if group else ():
            if member == session.jid:
                continue
            name = "receiptTimestamp" if state == DELIVERED else "readTimestamp"
            body = {"key": {**sent.key, "participant": member}, "receipt": {"userJid": member, name: at}}
            told += self._engine.send_event(
                session, "message-receipt.update", {"message": body}, in_ms=True, key_id=sent.key_id
            )
        return told

    def _fail(self, session: SimulatedSession, sent: SentMessage, reason: str) -> list[Delivery]:
        sent.state, sent.failed_reason, sent.updated_at = ERROR, reason, self._engine.clock.now()
        body: dict[str, Any] = {"success": False, "error": reason}
        if "msg_id_in_sent" in sent.oddities:
            body["msgId"] = sent.msg_id
        told = self._engine.send_event(session, "message.sent", body)
        self._engine.changed()
        return told


def jid_of(to: str) -> str:
    """The chat that a recipient names."""
    return to if "@" in to and not to.startswith("@") else identity.phone_jid(to)


def ledger_row(sent: SentMessage) -> dict[str, Any]:
    """One accepted send, as `GET /_simulator/sends` shows it."""
    request = sent.request
    media = {name: value for name, value in (sent.media or {}).items() if name != "hosted"} or None
    return {
        "session": sent.session_id,
        "msgId": sent.msg_id,
        "to": sent.to,
        "jid": sent.jid,
        "kind": contents.kind_of_request(request),
        "text": request.get("text"),
        "media": media,
        "media_sha256": media["sha256"] if media else None,
        "location": request.get("location"),
        "contact": request.get("contact"),
        "mentions": request.get("mentions"),
        "reply_to": request.get("replyTo"),
        "quoted": ((request.get("replyToObject") or {}).get("key") or {}).get("id"),
        "at": sent.created_at,
        "key": sent.key,
        "key_id": sent.key_id,
    }
