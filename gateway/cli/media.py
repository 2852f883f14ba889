"""`gateway media`: how the files of messages stand, lost ones asked for once more, files moved to another store."""

from typing import Annotated

import typer

from gateway.cli.console import DataDir, Embedded, find_settings, run

media = typer.Typer(help="Files of messages: state, retry, move.", no_args_is_help=True)


@media.command()
def state(data_dir: DataDir = None, embedded: Embedded = None) -> None:
    """How many files are stored, pending and lost, why, and where they are kept."""
    from gateway.cli.actions import media as actions

    run(actions.show_state(find_settings(data_dir=data_dir, embedded=embedded)))


@media.command()
def retry(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids of files; all that are lost without them.")
    ] = None,
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """Asks for lost files once more; running gateways fetch them."""
    from gateway.cli.actions import media as actions

    run(actions.retry(find_settings(data_dir=data_dir, embedded=embedded), ids or None))


@media.command()
def move(
    target: Annotated[str, typer.Argument(help="file:///folder or s3://bucket/prefix.")],
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """Copies every file to another store, checked, with a progress bar; what is there is passed over."""
    from gateway.cli.actions import media as actions

    run(actions.move(find_settings(data_dir=data_dir, embedded=embedded), target))
