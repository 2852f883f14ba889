"""What became of each webhook: looking at those that went wrong, and processing them again.

An entry is read anew, as a later version may understand it, and written by the same statements as a webhook that
comes now: doubles fall to the unique keys, so doing it twice does no harm. The outcome replaces the entry's own.
"""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from gateway.domain.errors import Conflict, GatewayError, NotFound, Unavailable
from gateway.domain.message import Reading
from gateway.domain.session import Actor
from gateway.services.sessions.audit_log import Log
from gateway.services.webhooks.batch import InboundWebhook, Outcome
from gateway.services.webhooks.ingest import log_refusal
from gateway.services.webhooks.spooled import without_expired_codes

logger = logging.getLogger(__name__)

OUTCOMES: tuple[Outcome, ...] = ("stored", "duplicate", "ignored", "unknown", "refused", "failed")
TROUBLE: tuple[Outcome, ...] = ("failed", "unknown")
SETTLED: tuple[Outcome, ...] = ("stored", "duplicate")
"""Outcomes after which there is nothing to process again."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of one webhook: a row of the journal without its body."""

    id: int
    received_at: datetime
    session_id: int | None
    event: str | None
    outcome: Outcome
    reason: str | None
    note: str | None
    retries: int
    retried_at: datetime | None
    retried_by: str | None
    has_body: bool
    body: Any = None
    """Only of an entry that was asked for by its number."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries; None = any."""

    outcomes: Collection[Outcome] | None = None
    sessions: Collection[int] | None = None
    before: int | None = None
    """Only entries with lower numbers."""


class JournalStore(Protocol):
    """The journal in Postgres. Everything raises StoreUnavailable."""

    async def entries(self, wanted: Wanted, limit: int) -> list[Entry]:
        """Newest first, without bodies."""

    async def entry(self, number: int) -> Entry | None:
        """The entry of that number, or None."""

    async def write_again(self, number: int, inbound: InboundWebhook, by: str) -> Outcome:
        """Rows and entry in one transaction. What is settled meanwhile is left as it is.

        Raises as `WebhookStore.write` does; nothing is changed then.
        """

    async def note_failure(self, number: int, reason: str, by: str) -> None:
        """Notes that processing it again, by this person, failed for this reason."""


class Journal:
    """Shows entries to admins and processes them again at their wish."""

    def __init__(
        self,
        store: JournalStore,
        read: Callable[[Any, datetime], Reading],
        log: Log,
        tell: Callable[[InboundWebhook], None] = lambda inbound: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._read = read
        self._log = log
        self._tell = tell
        self._now = now

    async def page(self, wanted: Wanted, limit: int) -> tuple[list[Entry], int | None]:
        """Entries, newest first, and before which number the next page begins; None on the last one."""
        found = await self._store.entries(wanted, limit + 1)
        return found[:limit], found[limit - 1].id if len(found) > limit else None

    async def entry(self, number: int) -> Entry:
        """Raises NotFound."""
        found = await self._store.entry(number)
        if found is None:
            raise NotFound(f"The journal has no entry {number}. Entries are kept for 30 days.")
        return found

    async def retry(self, number: int, actor: Actor) -> Entry:
        """The entry as it is afterwards; one that is settled already is left alone.

        Raises NotFound; Conflict if its body was not kept; Unavailable if Postgres cannot write it now.
        """
        entry = await self.entry(number)
        if entry.outcome in SETTLED:
            return entry
        if entry.body is None or entry.session_id is None:
            raise Conflict(f"Entry {number} cannot be processed again: its body was not kept.")
        await self._process(entry, entry.body, entry.session_id, actor)
        return await self.entry(number)

    async def retry_all(self, wanted: Wanted, limit: int, actor: Actor) -> tuple[dict[str, int], int | None]:
        """Processes entries again, the oldest of the page first; counts by outcome, and where to go on."""
        entries, following = await self.page(wanted, limit)
        counts: dict[str, int] = {}
        for entry in reversed(entries):
            if not entry.has_body or entry.outcome in SETTLED:
                continue
            outcome = (await self.retry(entry.id, actor)).outcome
            counts[outcome] = counts.get(outcome, 0) + 1
        return counts, following

    async def _process(self, entry: Entry, body: Any, session_id: int, actor: Actor) -> None:
        reading = without_expired_codes(self._read(body, entry.received_at), entry.received_at, self._now())
        inbound = InboundWebhook(session_id, entry.received_at, body, reading)
        try:
            outcome = await self._store.write_again(entry.id, inbound, actor.name)
        except Unavailable:
            raise
        except Exception as error:  # `log_refusal` logs it
            outcome = "failed"
            await self._store.note_failure(entry.id, log_refusal(inbound, error), actor.name)
        else:
            self._tell(inbound)
        sentence = f"{actor.name} had webhook {entry.id} ({entry.event}) processed again: {outcome}."
        facts = {
            "actor": actor.name,
            "sub": actor.sub,
            "entry": entry.id,
            "before": entry.outcome,
            "outcome": outcome,
        }
        logger.info(
            "journal.retried entry=%d session=%d before=%s outcome=%s",
            entry.id,
            session_id,
            entry.outcome,
            outcome,
        )
        try:
            await self._log(session_id, "webhook_retried", sentence, facts)
        except GatewayError as error:
            logger.warning("journal.not_logged entry=%d error=%s", entry.id, error)


def parse_outcomes(text: str) -> Sequence[Outcome] | None:
    """`failed` or `failed,unknown`; None for a word that is no outcome."""
    words = [word.strip() for word in text.split(",")]
    found = [outcome for outcome in OUTCOMES if outcome in words]
    return found if found and set(words) <= set(OUTCOMES) else None
