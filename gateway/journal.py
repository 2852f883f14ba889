"""`gateway journal`: what became of webhooks, for whoever is woken at night."""

import getpass
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated

import orjson
import typer

from gateway import ground
from gateway.domain.errors import ConfigError
from gateway.domain.session import Actor, iso_utc
from gateway.postgres.deliveries import DeliveryTable
from gateway.postgres.journal import JournalTable
from gateway.postgres.migrate import migrate
from gateway.postgres.pool import open_pool
from gateway.postgres.trail import TrailTable
from gateway.services.journal import OUTCOMES, Entry, Journal, Wanted, parse_outcomes
from gateway.settings import Settings, read_settings
from gateway.terminal import DataDir, Embedded, out, run
from gateway.wasender import webhook

journal = typer.Typer(help="What became of webhooks: list, show, retry.", no_args_is_help=False)

PAGE = 200

Outcome = Annotated[
    str, typer.Option("--outcome", help=f"With commas between them: {', '.join(OUTCOMES)}, or all.")
]
Session = Annotated[int | None, typer.Option("--session", min=1, help="Only webhooks of this session.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="How many at most.")]


@journal.callback(invoke_without_command=True)
def show_list(
    context: typer.Context,
    outcome: Outcome = "failed,unknown",
    session: Session = None,
    limit: Limit = 50,
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """What went wrong, newest first."""
    context.obj = (data_dir, embedded)  # given here, they are meant for the subcommand as well
    if context.invoked_subcommand is None:
        settings = read_settings(data_dir=data_dir, embedded=embedded)
        run(_list(settings, _wanted(outcome, session), limit))


@journal.command()
def show(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="Number of the entry.", min=1)],
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """One webhook with its body, as JSON."""
    run(_show(_settings(context, data_dir, embedded), number))


@journal.command()
def retry(
    context: typer.Context,
    numbers: Annotated[list[int] | None, typer.Argument(help="Numbers of entries.", min=1)] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All that failed.")] = False,
    unknown: Annotated[bool, typer.Option("--unknown", help="All that were unknown.")] = False,
    session: Session = None,
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """Processes webhooks again; doing it twice does no harm."""
    words = [word for word, is_wanted in (("failed", failed), ("unknown", unknown)) if is_wanted]
    if bool(numbers) == bool(words):
        raise ConfigError("Name the entries to process again, or give --failed or --unknown.")
    settings = _settings(context, data_dir, embedded)
    if numbers:
        run(_retry(settings, numbers))
    else:
        run(_retry_all(settings, _wanted(",".join(words), session)))


def _settings(context: typer.Context, data_dir: Path | None, embedded: bool | None) -> Settings:
    before_it = context.obj or (None, None)
    return read_settings(
        data_dir=data_dir or before_it[0], embedded=before_it[1] if embedded is None else embedded
    )


def _wanted(outcome: str, session: int | None) -> Wanted:
    outcomes = None if outcome == "all" else parse_outcomes(outcome)
    if outcomes is None and outcome != "all":
        raise ConfigError(f"{outcome!r} is no outcome. There are {', '.join(OUTCOMES)}, and all.")
    return Wanted(outcomes, None if session is None else {session})


async def _list(settings: Settings, wanted: Wanted, limit: int) -> None:
    async with _opened(settings) as service:
        entries, following = await service.page(wanted, limit)
    for entry in entries:
        out.print(_line(entry))
    if not entries:
        out.print("Nothing of that kind in the last 30 days.")
    elif following is not None:
        out.print(f"There are more. See them with --limit {limit * 4}.")


async def _show(settings: Settings, number: int) -> None:
    async with _opened(settings) as service:
        entry = await service.entry(number)
    out.print(_line(entry))
    if entry.note:
        out.print(f"{entry.note}; processed again {entry.retries} times, last by {entry.retried_by}")
    if entry.body is None:
        out.print("Its body was not kept.")
    else:
        out.print(orjson.dumps(entry.body, option=orjson.OPT_INDENT_2).decode())


async def _retry(settings: Settings, numbers: list[int]) -> None:
    async with _opened(settings) as service:
        for number in numbers:
            out.print(_line(await service.retry(number, _whoever_is_here())))


async def _retry_all(settings: Settings, wanted: Wanted) -> None:
    total: dict[str, int] = {}
    async with _opened(settings) as service:
        following: int | None = wanted.before
        while True:
            page = Wanted(wanted.outcomes, wanted.sessions, following)
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
        dsn = await ground.open_database(settings, stack)
        await migrate(settings.listen_url or dsn, report=lambda line: None)
        pool = await open_pool(dsn, timezone=settings.timezone, pooled=ground.is_pooled(settings, dsn))
        stack.push_async_callback(ground.close_pool, pool)
        yield Journal(JournalTable(pool, DeliveryTable(pool, None)), webhook.read, TrailTable(pool).log)


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
