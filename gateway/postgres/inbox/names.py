"""Names of people and groups: given here, else the shop's own, else the phone's, else the one a person chose."""

from collections.abc import Mapping
from typing import Any

import asyncpg

from gateway.domain.message import phone_of
from gateway.postgres.connection.driver import Connection
from gateway.postgres.inbox import thread_statements
from gateway.postgres.inbox.customers import Customers

_MARKS = """
SELECT m.session, m.chat, m.name, m.owner, m.owner_name, m.marked_unread_at, m.blocked_at
FROM unnest($1::bigint[], $2::text[]) AS k (session, chat)
JOIN gateway.conversation_marks AS m ON m.session = k.session AND m.chat = k.chat
"""


class Names:
    """The names of some chats, read in the snapshot of a page."""

    def __init__(
        self, customers: dict[str, str], contacts: list[asyncpg.Record], marks: list[asyncpg.Record]
    ) -> None:
        self._customers = customers
        self._marks = {(row["session"], row["chat"]): row for row in marks}
        self._contacts = {(row["session"], row["address"]): row for row in contacts}

    @classmethod
    async def of(
        cls, connection: Connection, customers: Customers, sessions: list[int], chats: list[str]
    ) -> "Names":
        """What is known of these chats, each of its session."""
        phones = [phone for chat in chats if (phone := phone_of(chat))]
        return cls(
            await customers.names_of(connection, phones),
            await connection.fetch(thread_statements.NAMES, sessions, chats),
            await connection.fetch(_MARKS, sessions, chats),
        )

    def mark_of(self, session_id: int, chat: str) -> Mapping[str, Any]:
        """The marks of the conversation; empty where there are none."""
        found = self._marks.get((session_id, chat))
        return {} if found is None else dict(found)

    def of_chat(self, session_id: int, chat: str, push_name: str | None) -> str | None:
        """The name to show; None where there is none."""
        told = self._contacts.get((session_id, chat))
        return (
            self.mark_of(session_id, chat).get("name")
            or self._customers.get(phone_of(chat) or "")
            or (told["name"] if told else None)
            or push_name
            or (told["push_name"] if told else None)
        )
