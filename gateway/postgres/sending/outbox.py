"""`services.sending.outbox.OutboxStore` in Postgres: what people do to rows on their way out."""

import uuid
from collections.abc import Callable
from datetime import tzinfo
from typing import Any

import asyncpg

from gateway.domain.errors import Invalid
from gateway.domain.message import OUTGOING_TABLE, message_data
from gateway.domain.send_content import look_of
from gateway.domain.sending import Send
from gateway.postgres.connection.driver import Connection, Pool
from gateway.postgres.connection.pool import mapped_errors
from gateway.postgres.sending.evidence import lock_chat_of, settle_chat
from gateway.postgres.sending.moves import move
from gateway.postgres.sending.places import with_places
from gateway.postgres.sending.rows import SEND, content_data, moment_of, send_of
from gateway.services.sending.outbox import Outgoing, Queued, Request

_RECORD = "gateway.record_of_v1(m.*, 'public.whatsapp_outgoing_messages'::regclass) AS record"

_ROW = f"""
SELECT {SEND}, {_RECORD}, m.deleted_at IS NOT NULL AS is_deleted, m.message_type,
    gateway.chat_of(m.chat, m.to_phone) AS whole_chat, m.wasender_session_id::bigint AS session
FROM public.whatsapp_outgoing_messages AS m
WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.to_phone) = $2 AND m.id::text = $3
"""

_QUEUE = "SELECT gateway.queue_send_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"

_REWORD = """
UPDATE public.whatsapp_outgoing_messages AS m
SET message_text = $2, edited_at = clock_timestamp(), payload = jsonb_set(
    jsonb_set(coalesce(m.payload, '{}'), '{look}', to_jsonb($3::text)), '{content,text}', to_jsonb($2::text))
WHERE m.send_no = $1 AND m.status = 'queued'
RETURNING m.send_no
"""

_AMEND_SENT = "SELECT gateway.amend_sent_v1($1, $2, $3)"
_AMEND = "SELECT gateway.amend_one_v1($1, $2, clock_timestamp(), $3, false)"

# Another's message is quoted by both objects of its webhook; an own one by upstream's number.
_QUOTED_IN = """
SELECT m.raw_data -> 'key' AS key, m.raw_data -> 'message' AS message, m.wa_key_id, NULL::bigint AS msg_id,
    false AS may_follow
FROM public.whatsapp_incoming_messages AS m
WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.from_phone) = $2 AND m.id::text = $3
"""
_QUOTED_OUT = """
SELECT NULL::jsonb AS key, NULL::jsonb AS message, m.wa_key_id, m.msg_id,
    m.send_no IS NOT NULL AND m.status IN ('queued', 'sending') AS may_follow
FROM public.whatsapp_outgoing_messages AS m
WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.to_phone) = $2 AND m.id::text = $3
"""

_BY_NUMBER = f"""
SELECT {SEND}, {_RECORD}, m.deleted_at IS NOT NULL AS is_deleted, m.message_type,
    gateway.chat_of(m.chat, m.to_phone) AS whole_chat, m.wasender_session_id::bigint AS session
FROM public.whatsapp_outgoing_messages AS m
WHERE m.send_no = $2 AND m.wasender_session_id = $1
"""

# A statement of its own: the one that reads sees the row as it is once the lock is held.
_LOCK = """
SELECT FROM public.whatsapp_outgoing_messages AS m
WHERE m.send_no = $2 AND m.wasender_session_id = $1 FOR UPDATE
"""

CLIENT_ID_INDEX = "gateway_outgoing_client_id"
"""Where it could not be made, rows of other writers may share a `client_id`, and none is refused."""


def _media_id(text: str | None) -> uuid.UUID | None:
    """Raises Invalid for what is no id."""
    try:
        return None if text is None else uuid.UUID(text)
    except ValueError:
        raise _no_upload() from None


def _no_upload() -> Invalid:
    return Invalid(
        "media: This file was not uploaded by you, or another message has it already. Upload it once more.",
        details={"errors": {"media": ["There is no such upload."]}},
    )


class OutboxTable:
    """Rows of messages on their way out, for people. Everything raises StoreUnavailable."""

    def __init__(self, pool: Pool, zone: tzinfo) -> None:
        self._pool = pool
        self._zone = zone

    async def fault(self) -> str | None:
        """Why nothing can be sent from the table; None if it can."""
        with mapped_errors():
            found: str | None = await self._pool.fetchval("SELECT gateway.sending_fault_v1()")
        return found

    # ------------------------------------------------------------------------------------------ queueing

    async def queue(self, request: Request) -> Queued:
        """Queues a message, unless it is there, or its author has not seen an answer of another's."""
        with mapped_errors():
            async with self._pool.acquire() as connection:
                try:
                    verdict, row_id, unseen = await self._queue(connection, request)
                except asyncpg.UniqueViolationError as error:
                    if error.constraint_name != CLIENT_ID_INDEX:
                        raise
                    # Other writers of the table take no lock of ours: this one was committed after the look-up.
                    verdict, row_id, unseen = await self._queue(connection, request)
                row, number = None, None
                if row_id is not None:
                    found = await connection.fetchrow(_ROW, request.session_id, request.chat, row_id)
                    if found is not None:
                        row, number = await self._with_place(connection, found), found["send_no"]
        return Queued(verdict, row, number, tuple(unseen))

    async def _queue(
        self, connection: Connection, request: Request
    ) -> tuple[str, str | None, list[dict[str, Any]]]:
        async with connection.transaction():
            return await self._queue_or_find(connection, request)

    async def _queue_or_find(
        self, connection: Connection, request: Request
    ) -> tuple[str, str | None, list[dict[str, Any]]]:
        box, chat = request.session_id, request.chat
        (found,) = await connection.fetch(
            "SELECT verdict, id FROM gateway.find_send_v1($1, $2, $3, $4)",
            box,
            request.client_id,
            chat,
            request.digest,
        )
        if found["verdict"] is not None:
            return found["verdict"], found["id"], []
        quoted = None
        if request.content.reply_to is not None:
            quoted = await quoted_row(connection, box, chat, request.content.reply_to)
            if not _is_quotable(quoted):
                return "unquotable", None, []
        if request.seen is not None:
            unseen = await connection.fetch(
                "SELECT record FROM gateway.unseen_answers_v1($1, $2, $3, $4, $5)",
                box,
                chat,
                request.seen.off,
                request.seen.epoch,
                request.author_sub,
            )
            if unseen:
                return "unseen", None, [self._data(row["record"]) for row in unseen]
        key_id = None if quoted is None else quoted["wa_key_id"]
        return "queued", await self._insert(connection, request, key_id), []

    async def _insert(self, connection: Connection, request: Request, quoted_key: str | None) -> str:
        """`quoted_key` is WhatsApp's id of the message it answers, where it is known."""
        payload = {"content": content_data(request.content), "look": request.look}
        if request.extra:
            payload["extra"] = dict(request.extra)
        row_id: str | None = await connection.fetchval(
            _QUEUE,
            request.session_id,
            request.client_id,
            request.chat,
            request.phone,
            request.content.text,
            request.kind,
            quoted_key,
            moment_of(request.send_at),
            request.origin,
            request.author,
            request.author_sub,
            payload,
            request.digest,
            _media_id(request.content.media),
        )
        if row_id is None:
            raise _no_upload()
        return row_id

    # ------------------------------------------------------------------------------------------ changing

    async def outgoing(self, session_id: int, chat: str, row_id: str) -> Outgoing | None:
        """A row of a chat by its id."""
        with mapped_errors():
            row = await self._pool.fetchrow(_ROW, session_id, chat, row_id)
        return self._outgoing(row) if row else None

    async def by_number(self, session_id: int, number: int) -> Outgoing | None:
        """A row by its place in the order of sending, which old clients know it by."""
        with mapped_errors():
            row = await self._pool.fetchrow(_BY_NUMBER, session_id, number)
        return self._outgoing(row) if row else None

    def _outgoing(self, row: asyncpg.Record) -> Outgoing:
        return Outgoing(
            send=None if row["send_no"] is None else send_of(row),
            msg_id=row["msg_id"],
            key_id=row["wa_key_id"],
            chat=row["whole_chat"] or "",
            kind=row["message_type"] or "text",
            is_deleted=row["is_deleted"],
            data=self._data(row["record"]),
        )

    async def change(
        self, session_id: int, number: int, step: Callable[[Send], Send]
    ) -> dict[str, Any] | None:
        """The row after a step of the state machine, taken under its lock. None if there is no such row."""
        with mapped_errors():
            async with self._pool.acquire() as connection:
                async with connection.transaction():
                    place = await lock_chat_of(connection, number)
                    await connection.execute(_LOCK, session_id, number)
                    row = await connection.fetchrow(_BY_NUMBER, session_id, number)
                    if row is None or place is None:
                        return None
                    before = send_of(row)
                    after = step(before)
                    if after is not before:
                        await move(connection, before, after)
                        await settle_chat(connection, *place)
                return await self._told_by_number(connection, session_id, number)

    async def reword(self, session_id: int, number: int, text: str) -> dict[str, Any] | None:
        """The row with another text, if it is still queued."""
        with mapped_errors():
            async with self._pool.acquire() as connection:
                row = await connection.fetchrow(_BY_NUMBER, session_id, number)
                look = look_of(row["message_type"] or "text", text) if row else ""
                if row is None or await connection.fetchval(_REWORD, number, text, look) is None:
                    return None
                return await self._told_by_number(connection, session_id, number)

    async def amend(self, session_id: int, outgoing: Outgoing, change: dict[str, Any]) -> dict[str, Any]:
        """The row after an edit or deletion that upstream has carried out."""
        told = {"chat": outgoing.chat, "address": None, "lid": None, "is_me": True, "is_named": True}
        with mapped_errors():
            async with self._pool.acquire() as connection:
                key_id, number = outgoing.key_id, None if outgoing.send is None else outgoing.send.id
                if key_id is None and not await connection.fetchval(_AMEND_SENT, session_id, number, change):
                    found = await connection.fetchrow(_BY_NUMBER, session_id, number)  # it has its key by now
                    key_id = None if found is None else found["wa_key_id"]
                if key_id is not None:
                    await connection.fetchval(_AMEND, session_id, key_id, {**told, **change})
                row = await self._told(connection, session_id, outgoing.chat, str(outgoing.data["id"]))
        return row or outgoing.data

    # ------------------------------------------------------------------------------------------ telling

    async def _told(
        self, connection: Connection, session_id: int, chat: str, row_id: str
    ) -> dict[str, Any] | None:
        """The row as clients see it, with its place in the queue while it waits."""
        row = await connection.fetchrow(_ROW, session_id, chat, row_id)
        return None if row is None else await self._with_place(connection, row)

    async def _told_by_number(
        self, connection: Connection, session_id: int, number: int
    ) -> dict[str, Any] | None:
        row = await connection.fetchrow(_BY_NUMBER, session_id, number)
        return None if row is None else await self._with_place(connection, row)

    async def _with_place(self, connection: Connection, row: asyncpg.Record) -> dict[str, Any]:
        if row["send_no"] is None:
            return self._data(row["record"])
        (data,) = await with_places(connection, row["session"], row["chat"], [self._data(row["record"])])
        return data

    def _data(self, record: dict[str, Any]) -> dict[str, Any]:
        return message_data(OUTGOING_TABLE, record, self._zone)


def _is_quotable(row: asyncpg.Record | None) -> bool:
    """Whether there is what upstream needs to quote it."""
    if row is None:
        return False
    return bool(row["msg_id"] or row["may_follow"] or is_whole(row["key"], row["message"]))


def is_whole(key: Any, message: Any) -> bool:
    """Whether both objects of a webhook are there, as upstream wants them back."""
    return (
        isinstance(key, dict) and isinstance(message, dict) and bool(key.get("remoteJid")) and bool(message)
    )


async def quoted_row(connection: Connection, session_id: int, chat: str, ref: str) -> asyncpg.Record | None:
    """What is known of the message that `in:5` or `out:7` names, in this chat."""
    way, _, row_id = ref.partition(":")
    return await connection.fetchrow(_QUOTED_IN if way == "in" else _QUOTED_OUT, session_id, chat, row_id)
