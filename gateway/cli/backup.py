"""`gateway backup` and `gateway restore`: everything of a gateway in one sealed file, and back."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.console import DataDir, Embedded, read_settings, run
from gateway.domain.errors import ConfigError

commands = typer.Typer()

File = Annotated[Path, typer.Argument(help="The file of the backup.", metavar="FILE", show_default=False)]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        help="File whose first line is the passphrase. Without it: GATEWAY_BACKUP_PASSPHRASE, a prompt, or stdin.",
    ),
]


@commands.command()
def backup(
    file: File,
    passphrase_file: PassphraseFile = None,
    without_media: Annotated[
        bool, typer.Option("--without-media", help="Leave files of messages out.")
    ] = False,
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """Writes database, files, spool and secrets into one file that a passphrase opens; gateways may run."""
    from gateway.cli.actions import backup as actions

    settings = read_settings(data_dir=data_dir, embedded=embedded)
    passphrase = _passphrase(settings.backup_passphrase, passphrase_file, is_new=True)
    run(actions.back_up(settings, file, passphrase, with_media=not without_media))


@commands.command()
def restore(
    file: File,
    passphrase_file: PassphraseFile = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Drop everything that the database holds first.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Only say whether the backup is whole, and what it holds.")
    ] = False,
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """Restores a backup into an empty database, with its files, its spool and its secrets; no gateway may run."""
    from gateway.cli.actions import restore as actions

    settings = read_settings(data_dir=data_dir, embedded=embedded)

    def passphrase() -> str:
        return _passphrase(settings.backup_passphrase, passphrase_file, is_new=False)

    run(actions.restore(settings, file, passphrase, overwrite=overwrite, only_check=check))


def _passphrase(given: str | None, file: Path | None, *, is_new: bool) -> str:
    """Never an argument: every user of the machine may see those."""
    if file is not None:
        try:
            lines = file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ConfigError(f"The passphrase cannot be read from {file} ({why}).") from None
        said = lines[0] if lines else ""
    elif given:
        said = given
    elif sys.stdin.isatty():
        said = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=is_new)
    else:
        said = sys.stdin.readline().rstrip("\r\n")
    if not said:
        raise ConfigError(
            "There is no passphrase. Give it by --passphrase-file, GATEWAY_BACKUP_PASSPHRASE, a prompt or stdin."
        )
    return said
