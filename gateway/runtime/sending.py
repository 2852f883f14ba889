"""Sending, put together: tables, WasenderAPI and the one sender per session."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.domain.send_content import Content
from gateway.domain.send_queue import Terms
from gateway.domain.sending import Refused, Send
from gateway.postgres.connection.listener import Listener, SendingLeases
from gateway.postgres.sending.checks import CheckTable
from gateway.postgres.sending.from_sql import SqlIntakeTable
from gateway.postgres.sending.numbers import NumberTable
from gateway.postgres.sending.outbox import OutboxTable
from gateway.postgres.sending.preparation import PreparationTable, Prepared
from gateway.postgres.sending.receipts import ReceiptTable
from gateway.postgres.sending.store import SendClock, SendTable
from gateway.runtime.repositories import Repositories
from gateway.services.sending.checks import Checker
from gateway.services.sending.from_sql import SqlIntake
from gateway.services.sending.numbers import Numbers
from gateway.services.sending.outbox import Outbox
from gateway.services.sending.ports import SendingContext, UploadedMedia, Uploads
from gateway.services.sending.receipts import Receipts
from gateway.services.sending.service import Sending
from gateway.services.sessions.cache import SessionStore
from gateway.services.sessions.service import Sessions
from gateway.settings import Settings
from gateway.wasender.client import WasenderClient
from gateway.wasender.messages import Messages
from gateway.wasender.send_payload import (
    Quoted,
    QuotedOther,
    QuotedOwn,
    TextNotPossible,
    UploadedFile,
    file_field,
    payload_of,
)

CALL_MARGIN_S = 3.0
"""A call begins only if no peer can have ended this gateway's lease within so many seconds."""

NO_QUOTE = "The message that this one answers cannot be quoted any more."
NO_KEY = "The session has no key to send files with."


@dataclass(frozen=True, slots=True)
class SendingParts:
    """What routes and the gateway itself use of it."""

    sending: Sending
    outbox: Outbox
    numbers: Numbers
    sql_intake: SqlIntake


class SendPreparation:
    """`services.sending.ports.Preparation`: keys from the sessions' rows, bodies in WasenderAPI's words."""

    def __init__(
        self, sessions: Sessions, store: SessionStore, table: PreparationTable, uploads: Uploads
    ) -> None:
        self._sessions = sessions
        self._store = store
        self._table = table
        self._uploads = uploads

    async def key_of(self, session_id: int, *, fresh: bool) -> str | None:
        """The session's API key; fetched from upstream if `fresh`, or if none is known here. None if there is none."""
        secrets = None if fresh else await self._store.secrets(session_id)
        if secrets is None or secrets.api_key is None:
            secrets = await self._sessions.refresh_secrets(session_id)
        return None if secrets is None else secrets.api_key

    async def payload_of(self, send: Send) -> Mapping[str, Any] | Refused:
        """The request's body, with files uploaded and quotes looked up; or why it cannot be made, ever."""
        prepared = await self._table.read(send.id)
        if prepared is None:
            return Refused("The message is gone.", "gone")
        if prepared.is_quote_missing:
            return Refused(NO_QUOTE, "invalid")
        file = await self._file(prepared)
        if isinstance(file, Refused):
            return file
        try:
            body = payload_of(send.chat, prepared.content, file, _quoted(prepared))
        except TextNotPossible:
            return Refused("WhatsApp sends this kind of file without a text.", "invalid")
        return {**prepared.extra, **body}

    async def _file(self, prepared: Prepared) -> UploadedFile | Refused | None:
        content: Content = prepared.content
        if content.media is None:
            return None
        key = await self.key_of(prepared.session_id, fresh=False)
        if key is None:
            return Refused(NO_KEY, "invalid")
        found = await self._uploads.upload_for_send(prepared.session_id, key, content.media)
        if isinstance(found, UploadedMedia):
            return UploadedFile(found.kind, found.url, found.name)
        return found


def _quoted(prepared: Prepared) -> Quoted:
    if prepared.quoted_msg_id is not None:
        return QuotedOwn(prepared.quoted_msg_id)
    return None if prepared.quoted is None else QuotedOther(*prepared.quoted)


class MessageCalls(Messages):
    """The calls that people make for sent messages."""

    async def show_typing(self, api_key: str, jid: str, is_typing: bool) -> None:
        """Shows the customer that the shop types, or has stopped."""
        await self.show_presence(api_key, jid, "composing" if is_typing else "paused")


def build_sending(
    settings: Settings,
    tables: Repositories,
    sessions: Sessions,
    upstream: WasenderClient,
    listener: Listener,
    uploads: Uploads,
) -> SendingParts:
    """Everything that sends; `sending.run` is a task of the gateway's."""
    clock, pool = SendClock(), tables.pool
    calls, checks, receipts = MessageCalls(upstream), CheckTable(pool), ReceiptTable(pool)
    preparation = SendPreparation(sessions, tables.sessions, PreparationTable(pool), uploads)
    context = SendingContext(
        store=(table := SendTable(pool, clock, with_receipts=settings.read_receipts)),
        upstream=calls,
        preparation=preparation,
        clock=clock.now,
        lease_until=lambda session_id: clock.now() + listener.lease_left_s,
        terms=Terms(keep_s=settings.send_keep_h * 3600.0, call_s=CALL_MARGIN_S),
    )

    def checker_of(session_id: int) -> Checker:
        checker = Checker(session_id, checks, calls, preparation, clock.now)
        if settings.read_receipts:
            checker.receipts = Receipts(session_id, receipts, calls, preparation, clock.now)
        return checker

    log = tables.audit_log.log
    return SendingParts(
        sending=Sending(table, SendingLeases(listener), context, checker_of, listener.awake),
        outbox=Outbox(OutboxTable(pool, settings.zone), calls, preparation, log, clock.now),
        numbers=Numbers(NumberTable(pool), calls, preparation),
        sql_intake=SqlIntake(SqlIntakeTable(pool), file_field, is_on=settings.send_from_sql),
    )
