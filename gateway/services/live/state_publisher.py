"""Tells subscribers of state topics what has changed of a session."""

from datetime import UTC, datetime
from typing import Any, Protocol

from gateway.domain.session import Session, session_data
from gateway.services.live.state_values import StateRow, StateValue, StateValues


class StateHub(Protocol):
    """Takes new values of state topics, and says which topics have a subscriber."""

    def publish_state(self, value: StateValue) -> None:
        """Sends the value to the topic's subscribers in place of an unsent older one."""

    def is_watched(self, topic: str) -> bool:
        """Whether the topic has a subscriber in this process."""


class StatePublisher:
    """Publishes the parts of a session that differ from what was known before."""

    def __init__(self, hub: StateHub, values: StateValues) -> None:
        self._hub = hub
        self._values = values

    def publish(self, before: StateRow | None, row: StateRow) -> None:
        """`before` is what was known of the session; None if nothing was.

        A client may come from another gateway with a version that this one never read, and which is over. So where a
        version was passed over, every part is told, also one that is equal to what was known here.
        """
        known = before if before is None or row.version == before.version + 1 else None
        event = _session_event(before.session if before else None, row.session)
        if event is None and known is None and row.session is not None:
            event = "session.updated"
        if event is not None:
            value = self._values.session(row, event)
            if value is not None:
                self._hub.publish_state(value)
        if known is None or known.attempt != row.attempt:
            # Nothing is drawn that no client watches.
            link = self._values.link(row) if self._hub.is_watched(f"session:{row.session_id}") else None
            if link is not None:
                self._hub.publish_state(link)
        if known is None or known.sending != row.sending:
            sending = self._values.sending(row)
            if sending is not None:
                self._hub.publish_state(sending)
        if row.session is None:
            self._values.forget(row.session_id)


def _session_event(before: Session | None, after: Session | None) -> str | None:
    if after is None:
        return "session.deleted" if before is not None else None
    if before is None:
        return "session.created"
    if before.status != after.status:
        return "session.status"
    return "session.updated" if _visible(before) != _visible(after) else None


def _visible(session: Session) -> dict[str, Any]:
    fresh = ("version", "checked_at", "source", "updated_at", "stale")
    data = session_data(session, datetime.now(UTC))
    return {key: value for key, value in data.items() if key not in fresh}
