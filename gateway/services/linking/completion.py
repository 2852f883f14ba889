"""What follows the end of a linking attempt, once in the cluster: the audit log, and the session's new facts.

The part whose write ended the attempt calls `follow`: a poller, or `confirm` at the gateway that got the webhook.
"""

import logging
from typing import Any

from gateway.domain.errors import GatewayError
from gateway.domain.linking import End
from gateway.domain.session import SessionId, SessionStatus
from gateway.services.deadlines import upstream_late, within
from gateway.services.linking.ports import (
    CALL_S,
    STORE_S,
    LinkingContext,
    OnConnected,
)

logger = logging.getLogger(__name__)

REFRESH_S = 30.0
"""For reading key, user and the rest after a link."""


class Completion:
    """Does what the end of an attempt asks for, once: called by the part whose write ended the attempt."""

    def __init__(self, context: LinkingContext, on_connected: OnConnected) -> None:
        self._context = context
        self._on_connected = on_connected

    async def follow(self, session_id: int, end: End) -> None:
        """Writes the end into the audit log, and after `connected` asks for the session's new facts."""
        logger.info("linking.ended session=%d reason=%s", session_id, end.reason)
        note = self._context.note
        match end.reason:
            case "connected":
                if await self._was_scanned_unseen(session_id):
                    await note(session_id, "scanned", "A phone has scanned the code.")
                await note(session_id, "connected", "The phone is linked.")
                await self._refresh(session_id)
            case "timeout":
                await note(session_id, "link_timeout", "No phone was linked in time.")
            case "error":
                error: dict[str, Any] = end.error or {}
                await note(session_id, "error", f"Linking ended: {error.get('message')}", error=error)
            case "cancelled":
                pass  # who cancelled it has said so

    async def confirm(self, session_id: int) -> bool:
        """A webhook said `connected`: ends the running attempt, unless upstream says otherwise when asked.

        A webhook that comes late may be about an earlier link. If upstream cannot be asked, its word stands:
        a linked phone must not end in a time-out. True if this call ended the attempt.
        """
        store = self._context.store
        try:
            attempt = await within(STORE_S, store.current(session_id))
            if attempt is None or not attempt.running or not await self._is_connected(session_id):
                return False
            # The webhook may not say when that was, and then it has written no status.
            told = store.record_status(session_id, SessionStatus.CONNECTED, "webhook")
            await within(STORE_S, told)
            if not await within(STORE_S, store.end(session_id, None, "connected", None)):
                return False
        except GatewayError as error:
            logger.warning("linking.confirm_failed session=%d error=%s", session_id, error)
            return False
        await self.follow(session_id, End("connected"))
        return True

    async def _was_scanned_unseen(self, session_id: int) -> bool:
        """Whether a code was shown and the phone was linked between two polls: the audit log tells of the scan, too."""
        try:
            attempt = await within(STORE_S, self._context.store.current(session_id))
        except GatewayError:
            return False
        return attempt is not None and attempt.number > 0 and attempt.scanned_at is None

    async def _is_connected(self, session_id: int) -> bool:
        call = self._context.upstream.get_session(SessionId(session_id))
        try:
            return (await within(CALL_S, call, upstream_late)).status == SessionStatus.CONNECTED
        except GatewayError as error:
            return error.retryable

    async def _refresh(self, session_id: int) -> None:
        try:
            await within(REFRESH_S, self._on_connected(session_id))
        except GatewayError as error:
            logger.warning("linking.refresh_failed session=%d error=%r", session_id, error)
