"""Webhook → rows, in batches; nothing is acknowledged before it is safe.

Webhooks that arrive while a transaction commits share the next one (there is no timer: an idle gateway commits
at once), and each is answered after that commit. What cannot be committed within PATIENCE_S goes to the spool,
which is as safe, and is answered then; the replay brings it to Postgres later. While something of a session is
held there, what has an ordering key in common with it (`domain.ordering`) goes the same way: the order is kept.

A batch that Postgres refuses is halved until the bad one is alone, and goes to the journal. Of a batch that meets
a row that another transaction holds, each is written by itself and beside the next batches: only the held one waits.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from prometheus_client import Histogram

from gateway.domain.errors import (
    ConfigError,
    RowLocked,
    RowRefused,
    StoreUnavailable,
    TableLocked,
    Unavailable,
)
from gateway.domain.message import SessionChange
from gateway.domain.ordering import Cause, held_keys, ordering_keys_of
from gateway.services.background import Background
from gateway.services.deadlines import within
from gateway.services.webhooks.batch import (
    Answer,
    InboundWebhook,
    NoSpool,
    Outcome,
    Spool,
    Waiting,
    WebhookStore,
)
from gateway.services.webhooks.locked import LockedRows

logger = logging.getLogger(__name__)

MAX_BATCH = 128
MAX_WAITING = 4096
PATIENCE_S = 2.0
"""How long a webhook is tried before it goes to the spool: upstream does not wait much longer for its answer."""

PATIENCE_AWAY_S = 0.3
"""The same, once Postgres is known to be away."""

SPOOL_S = 1.0
"""How long the spool's disk may take."""

AT_ONCE = 3
"""Connections that webhooks written by themselves may use together: the others are for those who do not wait."""

HANDOVER_LOOKS = 50
"""How often, every 10 ms, the pump looks whether a replay that is about to empty the spool has done so."""


BATCH = Histogram(
    "gateway_ingest_batch_webhooks",
    "Webhooks that one transaction has written.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
)
TOOK = Histogram(
    "gateway_ingest_seconds",
    "One transaction that writes webhooks, from its begin to its commit.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)


class Ingest:
    """Takes webhooks one by one, and answers each when it is committed or safe in the spool."""

    def __init__(
        self,
        store: WebhookStore,
        on_session_change: Callable[[int, SessionChange], None] = lambda session_id, change: None,
        spool: Spool | None = None,
        keeps_raw: Callable[[], bool] = lambda: False,
        *,
        max_waiting: int = MAX_WAITING,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`keeps_raw` says whether webhooks are to be kept as they come, too; `max_waiting`, how many wait at once."""
        self._store = store
        self.keeps_raw = keeps_raw
        self._max_waiting = max_waiting
        self.patience_s = patience_s
        """In force from the next webhook on."""
        self._spool: Spool = spool or NoSpool()
        self._on_session_change = on_session_change
        self._queue: list[Waiting] = []
        self._unanswered: set[asyncio.Future[Answer]] = set()
        self._spooling = Background()
        self._locked_rows = LockedRows(self._try_alone)
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._wake = asyncio.Event()
        self._is_open = True
        self.is_away = False
        """Whether the last attempt to commit anything failed for no fault of the data."""

    @property
    def unanswered(self) -> int:
        """Webhooks whose senders wait for an answer now."""
        return len(self._unanswered)

    async def submit(self, inbound: InboundWebhook) -> Answer:
        """Returns once the webhook is committed or spooled. Raises Unavailable: then it is not acknowledged."""
        if not self._is_open or len(self._unanswered) >= self._max_waiting:
            raise Unavailable("The gateway cannot take webhooks now. Send it again.", retry_after_s=1)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Answer] = loop.create_future()
        self._unanswered.add(done)
        self._queue.append(
            Waiting(inbound, ordering_keys_of(inbound.reading), loop.time() + self.patience_s, done)
        )
        self._wake.set()
        try:
            return await done
        finally:
            self._unanswered.discard(done)

    async def run(self) -> None:
        """Commits batch after batch until cancelled; `close` first, so that nothing is left behind."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queue:
                    await self._take_batch()
        finally:
            await self._locked_rows.close()
            await self._spooling.close()

    async def close(self) -> None:
        """Takes nothing new, and returns when everything taken has been answered: committed, or spooled."""
        self._is_open = False
        if self._unanswered:
            await asyncio.wait(list(self._unanswered))

    async def _take_batch(self) -> None:
        # Asked once: what another process spools from now on was not acknowledged before these came.
        is_empty = self._spool.is_empty()
        if not is_empty:
            await self._wait_for_handover()
        batch, self._queue = self._queue[:MAX_BATCH], self._queue[MAX_BATCH:]
        direct, following = [], []
        taken: set[tuple[int, str]] = set()
        """Ordering keys of webhooks in `following`: the spool does not know of them yet."""
        for waiting in batch:
            session_id, ordering_keys = waiting.session_id, waiting.ordering_keys
            if self._locked_rows.is_ahead_of(waiting):
                self._locked_rows.add(waiting, "row")
            elif not is_empty and (
                behind := self._spool.held(session_id, ordering_keys)
                | {ordering_key for ordering_key in ordering_keys if (session_id, ordering_key) in taken}
            ):
                held = _held(waiting, "row") | behind
                taken.update((session_id, ordering_key) for ordering_key in held)
                following.append((waiting, held))
            else:
                direct.append(waiting)
        self._keep(following)
        if direct:
            await self._commit(direct)

    async def _wait_for_handover(self) -> None:
        # Otherwise a session with steady traffic would follow its own spooled webhooks for ever.
        for _ in range(HANDOVER_LOOKS):
            if not self._spool.is_handing_over():
                return
            await asyncio.sleep(0.01)

    # ------------------------------------------------------------------------------------------ committing

    async def _commit(self, batch: list[Waiting]) -> None:
        try:
            outcomes = await self._write(batch)
        except RowLocked as error:
            for waiting in batch:
                self._locked_rows.add(waiting, cause_of(error))
        except (StoreUnavailable, ConfigError) as error:
            # A right or a table that is missing is put right by the operator: until then it is an outage.
            self._note_away(error)
            self._keep([(waiting, _held(waiting, "away")) for waiting in batch])
        except Exception as error:
            # Whatever it is, it must not cost the others of the batch.
            if len(batch) > 1:
                await self._commit(batch[: len(batch) // 2])
                await self._commit(batch[len(batch) // 2 :])
            else:
                await self._give_up(batch[0], error)
        else:
            # The next batch goes first: Postgres works on it while these are answered.
            asyncio.get_running_loop().call_soon(self._answer_stored, batch, outcomes)

    async def _write(self, batch: list[Waiting]) -> list[Outcome]:
        """One transaction, tried again for a moment while Postgres is away."""
        loop = asyncio.get_running_loop()
        deadline = batch[0].deadline
        if self.is_away and deadline <= loop.time():
            raise StoreUnavailable("Postgres is away, and this webhook has waited long enough.")
        brief = loop.time() + PATIENCE_AWAY_S
        deadline = min(deadline, brief) if self.is_away else max(deadline, brief)
        while True:
            try:
                began = loop.time()
                written = self._store.write([waiting.inbound for waiting in batch])
                outcomes = await within(deadline - began, written)
            except RowLocked:
                raise
            except StoreUnavailable:
                pause_s = random.uniform(0.1, 0.3)
                if loop.time() + pause_s > deadline:
                    raise
                await asyncio.sleep(pause_s)
            else:
                BATCH.observe(len(batch))
                TOOK.observe(loop.time() - began)
                self.note_committed()
                return outcomes

    async def _try_alone(self, waiting: Waiting, cause: Cause) -> None:
        """One webhook by itself, until it is written or has waited long enough."""
        loop = asyncio.get_running_loop()
        while not (behind := self._spool.held(waiting.session_id, waiting.ordering_keys)):
            try:
                (outcome,) = await within(waiting.deadline - loop.time(), self._write_in_turn(waiting))
            except RowLocked as error:
                cause = cause_of(error)
            except (StoreUnavailable, ConfigError):
                pass  # out of time, or it is the pump's to find out that Postgres is away
            except Exception as error:  # `_give_up` logs it, and notes it in the journal
                await self._give_up(waiting, error)
                return
            else:
                self._stored(waiting, outcome)
                return
            if loop.time() >= waiting.deadline:
                break
            await asyncio.sleep(min(random.uniform(0.05, 0.2), max(0.0, waiting.deadline - loop.time())))
        self._keep([(waiting, _held(waiting, cause) | behind)])

    async def _write_in_turn(self, waiting: Waiting) -> list[Outcome]:
        async with self._turns:
            return await self._store.write([waiting.inbound])

    async def _give_up(self, waiting: Waiting, error: Exception) -> None:
        """One webhook that cannot be written for its own fault, or for one of ours: into the journal."""
        inbound = waiting.inbound
        reason = log_refusal(inbound, error)
        left_s = max(PATIENCE_AWAY_S, waiting.deadline - asyncio.get_running_loop().time())
        try:
            await within(left_s, self._store.journal_failure(inbound, reason))
        except Exception as fault:
            # Also a bug of ours: the pump must outlive it, and the replay tries again.
            logger.warning("ingest.not_journalled session=%d error=%r", inbound.session_id, fault)
            self._keep([(waiting, _held(waiting, "row"))])
        else:
            waiting.answer("failed")

    # ------------------------------------------------------------------------------------------ answering

    def note_committed(self) -> None:
        """Something was committed just now, by the pump or by the replay."""
        if self.is_away:
            logger.warning("ingest.commits_again")
        self.is_away = False

    def _note_away(self, error: Exception) -> None:
        if not self.is_away:
            logger.warning("ingest.cannot_commit error=%s", error)
        self.is_away = True

    def _keep(self, batch: Sequence[tuple[Waiting, frozenset[str]]]) -> None:
        """Hands webhooks to the spool, at once and in this order; they are answered when they are on the disk."""
        if not batch:
            return
        taken = [waiting for waiting, _ in batch]
        try:
            kept = self._spool.append([(waiting.inbound, ordering_keys) for waiting, ordering_keys in batch])
        except Exception:
            logger.exception("ingest.not_spooled")
            for waiting in taken:
                waiting.answer(Unavailable("The webhook cannot be stored now."))
            return
        self._spooling.start(self._answer_kept(taken, kept), "ingest-spooling")

    async def _answer_kept(self, batch: Sequence[Waiting], kept: asyncio.Future[None]) -> None:
        answer: Answer | BaseException = "spooled"
        try:
            async with asyncio.timeout(SPOOL_S):
                await kept
        except TimeoutError:
            answer = Unavailable("Neither Postgres nor the disk answers. Send it again.", retry_after_s=2)
        except Unavailable as refusal:
            answer = refusal
        except Exception:
            logger.exception("ingest.not_spooled")
            answer = Unavailable("The webhook cannot be stored now.")
        for waiting in batch:
            waiting.answer(answer)

    def _answer_stored(self, batch: Sequence[Waiting], outcomes: Sequence[Outcome]) -> None:
        for waiting, outcome in zip(batch, outcomes, strict=True):
            waiting.answer(outcome)
        for waiting in batch:  # after all answers: a bug in `tell` must not cost one
            self.tell(waiting.inbound)

    def _stored(self, waiting: Waiting, outcome: Outcome) -> None:
        waiting.answer(outcome)
        self.tell(waiting.inbound)

    def tell(self, inbound: InboundWebhook) -> None:
        """Says what a committed delivery changed of its session."""
        for change in inbound.reading.changes:
            if isinstance(change, SessionChange):
                self._on_session_change(inbound.session_id, change)


def _held(waiting: Waiting, cause: Cause) -> frozenset[str]:
    return held_keys(waiting.inbound.reading, cause)


def cause_of(error: RowLocked) -> Cause:
    """What is locked: a table (or a whole inbox), or a row."""
    return "table" if isinstance(error, TableLocked) else "row"


def log_refusal(inbound: InboundWebhook, error: Exception) -> str:
    """Logs why a webhook cannot be written, and returns it in words for the journal."""
    session_id, event = inbound.session_id, inbound.reading.event
    if isinstance(error, RowRefused):
        logger.warning("ingest.refused session=%d event=%s reason=%s", session_id, event, error.message)
        return error.message
    logger.error("ingest.failed session=%d event=%s", session_id, event, exc_info=error)
    return f"A fault of the gateway itself ({type(error).__name__}): its log has the details."
