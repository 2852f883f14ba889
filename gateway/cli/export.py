"""`gateway export`: a conversation as a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from gateway.cli.console import DataDir, Embedded, find_settings, run
from gateway.domain.errors import ConfigError

if TYPE_CHECKING:
    from gateway.services.export.export import Format

commands = typer.Typer()


@commands.command()
def export(
    chat: Annotated[str, typer.Argument(help="The digits of a number, or a JID.")],
    session: Annotated[int, typer.Option("--session", min=0, help="The session whose conversation it is.")],
    form: Annotated[str, typer.Option("--format", help="jsonl, csv, or zip: both, and the files.")] = "jsonl",
    to: Annotated[Path | None, typer.Option("--out", help="The file; stdout without it.")] = None,
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """Writes a conversation as JSON Lines, CSV, or a zip with its files; shows a progress bar."""
    from gateway.cli.actions import export as actions

    if form not in ("jsonl", "csv", "zip"):
        raise ConfigError("--format is jsonl, csv or zip.")
    settings = find_settings(data_dir=data_dir, embedded=embedded)
    run(actions.export(settings, session, chat, cast("Format", form), to))
