"""What becomes of a message after `/send-message` took it over: sent, delivered, read, or failed.

The reply says only `in_progress`. Later come `message.sent`, the echo in `messages.upsert`, and one
`messages.update` per step; numbers in them: 0 error, 1 pending, 2 sent, 3 delivered, 4 read.
"""

from typing import Any

from gateway.simulator import contents, identity
from gateway.simulator.clock import Timer
from gateway.simulator.engine import Engine
from gateway.simulator.state import SentMessage, SimulatedSession

ERROR, PENDING, SENT, DELIVERED, READ = range(5)


class Sends:
    """Takes messages and moves each from state to state, with the webhooks that tell of it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._timers: dict[int, Timer] = {}

    def accept(self, session: SimulatedSession, request: dict[str, Any]) -> SentMessage:
        """Takes over a request that has been checked. Raises contents.BadContent."""
        world, now = self._engine.world, self._engine.clock.now()
        to = str(request["to"])
        sent = SentMessage(
            msg_id=world.next_msg_id,
            session_id=session.id,
            to=to,
            jid=to if "@" in to and not to.startswith("@") else identity.phone_jid(to),
            request=request,
            message=contents.outbound(request),
            key_id=identity.new_key_id(),
            created_at=now,
            updated_at=now,
        )
        world.next_msg_id += 1
        world.sent[sent.msg_id] = sent
        self._engine.changed()
        self._schedule(sent)
        return sent

    def retry(self, sent: SentMessage) -> None:
        """Sends a failed message once more."""
        sent.state, sent.failed_reason = PENDING, None
        self._engine.changed()
        self._schedule(sent)

    def edit(self, sent: SentMessage, words: str) -> dict[str, Any]:
        """The protocol message of an edit, as upstream returns it."""
        now = self._engine.clock.now()
        sent.message, sent.updated_at = contents.text(words), now
        self._engine.changed(urgent=False)
        return {
            "protocolMessage": {
                "key": sent.key,
                "type": 14,
                "timestampMs": str(int(now * 1000)),
                "editedMessage": {"extendedTextMessage": {"text": words}},
            }
        }

    def delete(self, session: SimulatedSession, sent: SentMessage) -> None:
        """Deletes a message for everyone, and tells of it."""
        del self._engine.world.sent[sent.msg_id]
        self._cancel(sent.msg_id)
        self._engine.send_event(session, "messages.delete", {"keys": [sent.key]})
        self._engine.changed()

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

    def _schedule(self, sent: SentMessage) -> None:
        settings = self._engine.settings
        delays = {
            PENDING: settings.sent_delay_s,
            SENT: settings.delivered_delay_s,
            DELIVERED: settings.read_delay_s,
        }
        delay_s = delays.get(sent.state)
        if delay_s is not None:
            self._timers[sent.msg_id] = self._engine.clock.call_later(delay_s, lambda: self._step(sent))

    def _step(self, sent: SentMessage) -> None:
        self._timers.pop(sent.msg_id, None)
        session = self._engine.world.sessions.get(sent.session_id)
        if session is None:
            return
        if sent.state == PENDING and session.status != "connected":
            self._fail(session, sent, "WhatsApp session is not connected.")
            return
        if sent.state == PENDING and self._engine.faults.take_mode("send_fails", session.id):
            self._fail(session, sent, f"Failed to send message: Invalid number JID: {sent.to}")
            return
        sent.state += 1
        sent.updated_at = self._engine.clock.now()
        if sent.state == SENT:
            self._announce(session, sent)
        update = {"update": {"status": sent.state}, "key": sent.key}
        self._engine.send_event(session, "messages.update", update, in_ms=True, key_id=sent.key_id)
        self._engine.changed(urgent=False)
        self._schedule(sent)

    def _announce(self, session: SimulatedSession, sent: SentMessage) -> None:
        body = {"key": sent.key, "message": sent.message, "success": True}
        self._engine.send_event(session, "message.sent", body, key_id=sent.key_id)
        item = {
            "key": sent.key,
            "messageTimestamp": int(sent.updated_at),
            "message": sent.message,
            "status": SENT,
        }
        if sent.request.get("text"):
            item["messageBody"] = sent.request["text"]
        self._engine.send_event(session, "messages.upsert", {"messages": item}, key_id=sent.key_id)

    def _fail(self, session: SimulatedSession, sent: SentMessage, reason: str) -> None:
        sent.state, sent.failed_reason, sent.updated_at = ERROR, reason, self._engine.clock.now()
        self._engine.send_event(session, "message.sent", {"success": False, "error": reason})
        self._engine.changed()
