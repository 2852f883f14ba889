"""What `gateway journal` does."""

import getpass
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import orjson

from gateway.cli.actions.database import open_pool_of
from gateway.cli.console import out
from gateway.domain.errors import ConfigError
from gateway.domain.session import Actor, iso_utc
from gateway.postgres.sessions.audit_log import AuditLogTable
from gateway.postgres.webhooks.batches import WebhookTable
from gateway.postgres.webhooks.journal import JournalTable
from gateway.services.webhooks.journal import OUTCOMES, Entry, Journal, Wanted, parse_outcomes
from gateway.settings import Settings
from gateway.wasender import webhook
from gateway.wasender.unseal import unseal

PAGE = 200


def wanted(outcome: str, session: int | None) -> Wanted:
    """The entries that the options name. Raises ConfigError for an unknown outcome."""
    outcomes = None if outcome == "all" else parse_outcomes(outcome)
    if outcomes is None and outcome != "all":
        raise ConfigError(f"{outcome!r} is no outcome. There are {', '.join(OUTCOMES)}, and all.")
    return Wanted(outcomes, None if session is None else {session})


async def list_entries(settings: Settings, which: Wanted, limit: int) -> None:
    """Prints at most `limit` entries, newest first."""
    async with _opened(settings) as service:
        entries, following = await service.page(which, limit)
    for entry in entries:
        out.print(_line(entry))
    if not entries:
        out.print("Nothing of that kind in the last 30 days.")
    elif following is not None:
        out.print(f"There are more. See them with --limit {limit * 4}.")


async def show(settings: Settings, number: int) -> None:
    """Prints one entry with its body, if that was kept."""
    async with _opened(settings) as service:
        entry = await service.entry(number)
    out.print(_line(entry))
    if entry.note:
        out.print(f"{entry.note}; processed again {entry.retries} times, last by {entry.retried_by}")
    if entry.body is None:
        out.print("Its body was not kept.")
    else:
        out.print(orjson.dumps(entry.body, option=orjson.OPT_INDENT_2).decode())


async def retry(settings: Settings, numbers: list[int]) -> None:
    """Processes these entries again, and prints what became of each."""
    async with _opened(settings) as service:
        for number in numbers:
            out.print(_line(await service.retry(number, _whoever_is_here())))


async def retry_all(settings: Settings, which: Wanted) -> None:
    """Processes all entries of that kind again, page by page, and prints how many ended how."""
    total: dict[str, int] = {}
    async with _opened(settings) as service:
        following: int | None = which.before
        while True:
            page = Wanted(which.outcomes, which.sessions, following)
            counts, following = await service.retry_all(page, PAGE, _whoever_is_here())
            for word, count in counts.items():
                total[word] = total.get(word, 0) + count
            if following is None:
                break
    said = ", ".join(f"{count} {word}" for word, count in sorted(total.items()))
    out.print(f"Processed again: {said}." if total else "There is nothing to process again.")


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Journal]:
    async with AsyncExitStack() as stack:
        pool = await open_pool_of(settings, stack)
        yield Journal(
            JournalTable(pool, WebhookTable(pool, None, unseal=unseal)), webhook.read, AuditLogTable(pool).log
        )


def _whoever_is_here() -> Actor:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = "somebody"  # a container may run as a user without a name
    return Actor(name=f"{name} (gateway journal)", sub="command-line")


def _line(entry: Entry) -> str:
    at, event = iso_utc(entry.received_at), entry.event or "no event"
    line = f"{entry.id}  {at}  session {entry.session_id}  {event}  {entry.outcome}  {entry.reason or ''}"
    return line.rstrip()
