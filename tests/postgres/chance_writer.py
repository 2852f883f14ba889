"""A writer who does to the messages, by chance, whatever the shop, the gateway or a person with psql might do."""

import random
from datetime import UTC, datetime, timedelta

import asyncpg

INCOMING = "public.whatsapp_incoming_messages"
OUTGOING = "public.whatsapp_outgoing_messages"

BEGIN = datetime(2025, 5, 1, tzinfo=UTC)
SESSIONS = (None, None, -5, 12, 12, 13)
PHONES = ("491511", "+49 (1511)", "628111", "77@lid", "no number", "", None)
CHATS = (None, None, None, "491511@s.whatsapp.net", "77@lid", "1-2@g.us", "9@newsletter", "status@broadcast")


class ChanceWriter:
    def __init__(self, connection: asyncpg.Connection, seed: int) -> None:
        """The connection's time zone is UTC; naive columns get times that exist in every zone."""
        self._connection = connection
        self._chance = random.Random(seed)
        self._number = 0
        # Hours of 100 days, each given out once: who wrote last is never open. None within a change of clocks.
        self._hours = list(range(2400))
        self._chance.shuffle(self._hours)

    async def write(self) -> None:
        """One transaction, which may be taken back."""
        transaction = self._connection.transaction()
        await transaction.start()
        for _ in range(self._chance.choice((1, 1, 1, 2, 5))):
            await self._chance.choices(
                (
                    self.receive,
                    self.send,
                    self._change,
                    self._move,
                    self._delete,
                    self._touch_nothing,
                    self._mark,
                ),
                (8, 4, 5, 3, 2, 1, 4),
            )[0]()
        if self._chance.random() < 0.1:
            await transaction.rollback()
        else:
            await transaction.commit()

    async def receive(self) -> None:
        self._number += 1
        await self._connection.execute(
            f"INSERT INTO {INCOMING} (message_id, from_phone, chat, wasender_session_id, message_text, push_name,"
            " is_read, replied, received_at, created_at, deleted_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::timestamptz, $10::timestamptz, $11)",
            f"M{self._number}",
            # The shop's column may be NOT NULL.
            self._chance.choice(PHONES) or "",
            self._chance.choice(CHATS),
            self._chance.choice(SESSIONS),
            self._chance.choice(("blue coat", "red hat", None)),
            self._chance.choice(("Ann", "Bob Blue", None)),
            self._chance.choice((None, False, True)),
            self._chance.choice((None, False, True)),
            *self._moments(),
            self._chance.choice((None, None, BEGIN)),
        )

    async def send(self) -> None:
        self._number += 1
        await self._connection.execute(
            f"INSERT INTO {OUTGOING} (client_id, to_phone, chat, wasender_session_id, message_text, sent_at,"
            " created_at, status) VALUES ($1, $2, $3, $4, $5, $6::timestamptz, $7::timestamptz, $8)",
            f"C{self._number}",
            self._chance.choice(PHONES),
            self._chance.choice(CHATS),
            self._chance.choice(SESSIONS),
            self._chance.choice(("blue answer", None)),
            *self._moments(),
            self._chance.choice(
                (None, "sent", "accepted", "unknown", "queued", "sending", "failed", "cancelled")
            ),
        )

    async def _mark(self) -> None:
        """Marks of a conversation that is there, or not any more; it was done at any time."""
        chat = self._chance.choice(("491511@s.whatsapp.net", "628111@s.whatsapp.net", "77@lid", "1-2@g.us"))
        changes = {
            "done": self._chance.choice((True, True, False)),
            "unread": self._chance.choice((True, False)),
            "owner": self._chance.choice(("ann", "bob", None)),
        }
        chosen = dict(self._chance.sample(sorted(changes.items()), self._chance.choice((1, 2, 3))))
        session = self._chance.choice(SESSIONS) or 0
        await self._connection.execute(
            "SELECT is_refused FROM gateway.mark_conversation_v1($1, $2, $3, 'ann', true)",
            session,
            chat,
            chosen,
        )
        done_at = BEGIN + timedelta(hours=self._chance.randrange(2400))
        await self._connection.execute(
            "UPDATE gateway.conversation_marks SET done_at = $3"
            " WHERE session = $1 AND chat = $2 AND done_at > '2026-01-01'",
            session,
            chat,
            done_at,
        )

    async def flood(self) -> None:
        """More than a stream tells: the inbox gets a new epoch."""
        await self._connection.execute(
            f"INSERT INTO {INCOMING} (message_id, from_phone, wasender_session_id, received_at)"
            " SELECT 'flood' || i, (49000 + i % 40)::text, 12, '2025-01-01'::timestamptz + i * interval '1 s'"
            " FROM generate_series(1, 5100) AS i"
        )

    async def truncate(self) -> None:
        await self._connection.execute(f"TRUNCATE {self._chance.choice((INCOMING, OUTGOING))}")

    async def prune(self) -> None:
        """What retention does to a stream, however little the list has seen of it."""
        await self._connection.execute("UPDATE gateway.inboxes SET floor = off")
        await self._connection.execute("DELETE FROM gateway.stream")

    def _moments(self) -> tuple[datetime | None, datetime | None]:
        moment = BEGIN + timedelta(hours=self._hours.pop())
        return self._chance.choice(((moment, None), (moment, BEGIN), (moment, moment), (None, moment)))

    async def _change(self) -> None:
        table, change = self._chance.choice(
            (
                (INCOMING, "is_read = NOT coalesce(is_read, false)"),
                (INCOMING, "replied = NOT coalesce(replied, false)"),
                (INCOMING, "deleted_at = CASE WHEN deleted_at IS NULL THEN now() END"),
                (INCOMING, "message_text = 'blue, edited'"),
                (INCOMING, "push_name = NULL"),
                (INCOMING, "received_at = created_at"),
                (OUTGOING, "sent_at = created_at"),
                (OUTGOING, "status = 'read'"),
                (OUTGOING, "status = 'cancelled'"),
            )
        )
        await self._on_some(f"UPDATE {table} SET {change}", table)

    async def _move(self) -> None:
        table, phone = self._chance.choice(((INCOMING, "from_phone"), (OUTGOING, "to_phone")))
        session = self._chance.choice(SESSIONS)
        change = self._chance.choice(
            (
                f"{phone} = '491511', chat = CASE WHEN chat LIKE '%@lid' THEN '491511@s.whatsapp.net' ELSE chat END",
                f"{phone} = '333'",
                "chat = '44@s.whatsapp.net'",
                f"wasender_session_id = {session if session is not None else 'NULL'}",
            )
        )
        await self._on_some(f"UPDATE {table} SET {change}", table)

    async def _delete(self) -> None:
        table = self._chance.choice((INCOMING, OUTGOING))
        await self._on_some(f"DELETE FROM {table}", table)

    async def _touch_nothing(self) -> None:
        await self._on_some(f"UPDATE {INCOMING} SET raw_data = '{{}}'", INCOMING)

    async def _on_some(self, statement: str, table: str) -> None:
        ids = [
            row["id"]
            for row in await self._connection.fetch(f"SELECT id::text AS id FROM {table} ORDER BY 1")
        ]
        chosen = self._chance.sample(ids, min(len(ids), self._chance.choice((1, 1, 2, 6))))
        await self._connection.execute(f"{statement} WHERE id::text = ANY ($1::text[])", chosen)
