"""Names of people and groups: the shop's own, else the phone's, else the one a person chose."""

import asyncpg

from gateway.domain.message import phone_of
from gateway.postgres.inbox import thread_statements
from gateway.postgres.inbox.customers import Customers

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy


class Names:
    """The names of some chats, read in the snapshot of a page."""

    def __init__(self, customers: dict[str, str], contacts: list[asyncpg.Record]) -> None:
        self._customers = customers
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
        )

    def of_chat(self, session_id: int, chat: str, push_name: str | None) -> str | None:
        """The name to show; None where there is none."""
        told = self._contacts.get((session_id, chat))
        return (
            self._customers.get(phone_of(chat) or "")
            or (told["name"] if told else None)
            or push_name
            or (told["push_name"] if told else None)
        )
