"""`gateway journal`: lists webhooks by what became of them, shows one, processes some again."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.console import DataDir, Embedded, find_settings, run
from gateway.domain.errors import ConfigError

if TYPE_CHECKING:
    from gateway.settings import Settings

journal = typer.Typer(help="What became of webhooks: list, show, retry.", no_args_is_help=False)

MAX = 2**63 - 1
"""The largest bigint: ids of entries and sessions, and LIMIT."""

Outcome = Annotated[
    str,
    typer.Option(
        "--outcome",
        help="With commas between them: stored, duplicate, ignored, unknown, refused, failed, or all.",
    ),
]
Session = Annotated[
    int | None, typer.Option("--session", min=1, max=MAX, help="Only webhooks of this session.")
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=MAX, help="How many at most.")]


@journal.callback(invoke_without_command=True)
def show_list(
    context: typer.Context,
    outcome: Outcome = "failed,unknown",
    session: Session = None,
    limit: Limit = 50,
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """Webhooks that failed or were unknown, newest first; --outcome lists others."""
    context.obj = (data_dir, embedded)  # given here, they are meant for the subcommand as well
    if context.invoked_subcommand is None:
        from gateway.cli.actions import journal as entries

        settings = find_settings(data_dir=data_dir, embedded=embedded)
        run(entries.list_entries(settings, entries.wanted(outcome, session), limit))


@journal.command()
def show(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="Number of the entry.", min=1, max=MAX)],
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """One webhook with its body, as JSON."""
    from gateway.cli.actions import journal as entries

    run(entries.show(_settings(context, data_dir, embedded), number))


@journal.command()
def retry(
    context: typer.Context,
    numbers: Annotated[list[int] | None, typer.Argument(help="Numbers of entries.", min=1, max=MAX)] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All that failed.")] = False,
    unknown: Annotated[bool, typer.Option("--unknown", help="All that were unknown.")] = False,
    session: Session = None,
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """Processes webhooks again; doing it twice does no harm."""
    from gateway.cli.actions import journal as entries

    words = [word for word, is_wanted in (("failed", failed), ("unknown", unknown)) if is_wanted]
    if bool(numbers) == bool(words):
        raise ConfigError("Name the entries to process again, or give --failed or --unknown.")
    settings = _settings(context, data_dir, embedded)
    if numbers:
        run(entries.retry(settings, numbers))
    else:
        run(entries.retry_all(settings, entries.wanted(",".join(words), session)))


def _settings(context: typer.Context, data_dir: Path | None, embedded: bool | None) -> "Settings":
    before_it = context.obj or (None, None)
    return find_settings(
        data_dir=data_dir or before_it[0], embedded=before_it[1] if embedded is None else embedded
    )
