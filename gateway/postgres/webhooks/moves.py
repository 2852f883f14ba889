"""Delivery states on their way into the rows of the messages, all of a batch at once."""

from collections.abc import Sequence
from typing import Literal

import asyncpg

from gateway.domain.message import DeliveryMoved, DeliveryState, overwritten_by
from gateway.postgres.connection.driver import Connection
from gateway.postgres.webhooks import statements as sql

_OPEN = ("accepted",)
"""Upstream has taken a message over; whatever WhatsApp says of it is more."""

Moved = Literal["moved", "early", "unlinked", "same", "elsewhere", "theirs"]
"""What became of a state. `early`: it waits for its message; `elsewhere`: the message is in another chat; `unlinked`:
in one that may turn out to be the same person's, and it waits for that; `theirs`: it came from a customer."""


async def write_moves(
    connection: Connection, items: Sequence[tuple[int, DeliveryMoved]], *, may_wait: bool
) -> list[Moved | None]:
    """Writes the states in their order; None for one that its message did not wait for.

    Each item is a session and a state. The caller sorts them by session and key: the order in which rows are locked.
    """
    if not items:
        return []
    weaker = [overwritten_by(move.state) for _, move in items]
    verdicts: list[Moved | None] = await connection.fetchval(
        sql.MOVE,
        [session_id for session_id, _ in items],
        [move.key_id for _, move in items],
        [move.state.word for _, move in items],
        [int(move.state) for _, move in items],
        [move.at for _, move in items],
        [move.error for _, move in items],
        [move.chat for _, move in items],
        [",".join((*words, *_OPEN)) for words in weaker],
        [",".join(str(int(DeliveryState[word.upper()])) for word in words) for words in weaker],
        int(DeliveryState.FAILED),
        may_wait,
    )
    return verdicts


async def write_early_moves(connection: Connection, early: Sequence[asyncpg.Record]) -> None:
    """Writes delivery states that had waited for their message."""
    items = [
        (
            row["wasender_session_id"],
            DeliveryMoved(
                row["wa_key_id"], DeliveryState(row["state"]), row["at"], row["error"], row["chat"]
            ),
        )
        for row in sorted(early, key=lambda row: (row["wasender_session_id"], row["wa_key_id"]))
    ]
    await write_moves(connection, items, may_wait=False)
