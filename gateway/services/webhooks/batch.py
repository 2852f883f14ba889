"""One webhook on its way to Postgres, and what ingest and replay need of the places it goes to."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from gateway.domain.errors import Unavailable
from gateway.domain.message import Reading
from gateway.domain.raw_webhooks import RawBody

Outcome = Literal["stored", "duplicate", "ignored", "unknown", "refused", "failed"]
"""What became of a webhook, as the journal has it."""

Answer = Outcome | Literal["spooled"]


@dataclass(frozen=True, slots=True)
class InboundWebhook:
    """One verified webhook, redacted and mended, with what it says."""

    session_id: int
    received_at: datetime
    body: Any
    """JSON: an object, or whatever else was sent."""
    reading: Reading
    raw: RawBody | None = None
    """The bytes that came, where they are to be kept."""


@dataclass(slots=True)
class Waiting:
    """A webhook whose sender waits for an answer."""

    inbound: InboundWebhook
    ordering_keys: frozenset[str]
    deadline: float
    """By the loop's clock: until then it is tried, then it goes to the spool."""
    done: asyncio.Future[Answer]

    @property
    def session_id(self) -> int:
        """Number of the session that the webhook belongs to."""
        return self.inbound.session_id

    def answer(self, result: Answer | BaseException) -> None:
        """Wakes the request that waits, with the outcome or the error. Does nothing if it has left."""
        if self.done.done():
            return  # the sender hung up
        if isinstance(result, BaseException):
            self.done.set_exception(result)
        else:
            self.done.set_result(result)


class WebhookStore(Protocol):
    """Where batches of webhooks are written."""

    async def write(self, batch: Sequence[InboundWebhook]) -> list[Outcome]:
        """Rows and journal of the whole batch in one transaction.

        Raises RowRefused if Postgres refuses some of the data, RowLocked if a foreign transaction holds some
        row, TableLocked if it holds a table or an inbox, StoreUnavailable if Postgres is away; nothing of the batch
        is stored then. When it is cancelled, all of it may be stored, or nothing.
        """

    async def journal_failure(self, inbound: InboundWebhook, reason: str) -> None:
        """Writes a webhook whose rows Postgres refuses into the journal, with the reason."""


class Spool(Protocol):
    """Keeps webhooks that cannot be committed now."""

    def is_empty(self) -> bool:
        """Whether nothing at all waits, nor is on its way there."""

    def held(self, session_id: int, ordering_keys: Collection[str]) -> frozenset[str]:
        """Those of the ordering keys under which a webhook waits, or is being appended, of any process."""

    def append(self, entries: Sequence[tuple[InboundWebhook, frozenset[str]]]) -> asyncio.Future[None]:
        """Keeps them, in the order of the calls, with the ordering keys each of them holds.

        The future is done when they are safe. It raises Unavailable when they cannot be kept; then none is.
        """

    def is_handing_over(self) -> bool:
        """Whether a replay is about to empty it, so that it is better to wait a moment than to append."""


class NoSpool:
    """Where there is no disk: what cannot be committed goes back to its sender."""

    def is_empty(self) -> bool:
        """Always True: nothing is ever kept."""
        return True

    def held(self, session_id: int, ordering_keys: Collection[str]) -> frozenset[str]:
        """Always nothing: no ordering key waits here."""
        return frozenset()

    def append(self, entries: Sequence[tuple[InboundWebhook, frozenset[str]]]) -> asyncio.Future[None]:
        """A future that has failed with Unavailable: the sender keeps the webhook and sends it again."""
        refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        refused.set_exception(
            Unavailable("Postgres cannot take webhooks now. Send it again.", retry_after_s=2)
        )
        return refused

    def is_handing_over(self) -> bool:
        """Always False: nothing is ever handed over."""
        return False
