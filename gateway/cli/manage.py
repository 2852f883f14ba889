"""Commands that look after a gateway: `migrate`, `integrations`, `secrets`, `sync`, `doctor`."""

import sys
from typing import Annotated

import typer

from gateway.cli.console import DataDir, Embedded, find_settings, read_settings, run
from gateway.domain.errors import ConfigError

commands = typer.Typer()
integrations = typer.Typer(no_args_is_help=True, help="Credentials of the services behind the gateway.")
commands.add_typer(integrations, name="integrations")
secrets = typer.Typer(no_args_is_help=True, help="Secrets that are stored in the database.")
commands.add_typer(secrets, name="secrets")


@commands.command()
def migrate(
    remove: Annotated[bool, typer.Option("--remove", help="Drop what is ours, and only that.")] = False,
    restored: Annotated[
        bool, typer.Option("--restored", help="The database is an older copy: let every browser load anew.")
    ] = False,
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """Brings the database up to date. Safe to repeat, and to run twice at once."""
    from gateway.cli.actions import database as admin

    settings = find_settings(data_dir=data_dir, embedded=embedded)
    run(admin.migrate(settings, remove, restored))


@integrations.command("set")
def set_integration(
    name: Annotated[str, typer.Argument(help="wasender")],
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """Stores the account token of WasenderAPI, read from stdin or a prompt."""
    from gateway.cli.actions import database as admin

    if name != "wasender":
        raise ConfigError(f"There is no integration {name!r}: only wasender.")
    settings = find_settings(data_dir=data_dir, embedded=embedded)
    token = typer.prompt("Account token", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline()
    if not token.strip():
        raise ConfigError("The token is empty. Give it on stdin, or at the prompt.")
    run(admin.store_token(settings, token.strip()))


@secrets.command("encrypt")
def encrypt_secrets(data_dir: DataDir = None, embedded: Embedded = None) -> None:
    """Encrypts keys and webhook secrets at rest, with GATEWAY_SECRET. The shop's own code cannot read them then."""
    from gateway.cli.actions import secrets as stored

    run(stored.encrypt_secrets(find_settings(data_dir=data_dir, embedded=embedded)))


@secrets.command("rotate")
def rotate_secrets(
    refetch: Annotated[
        bool, typer.Option("--refetch", help="Fetch from WasenderAPI what neither secret opens.")
    ] = False,
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """Encrypts stored secrets anew, from GATEWAY_SECRET_PREVIOUS to GATEWAY_SECRET."""
    from gateway.cli.actions import secrets as stored

    run(stored.rotate_secrets(find_settings(data_dir=data_dir, embedded=embedded), refetch))


@commands.command()
def sync(data_dir: DataDir = None, embedded: Embedded = None) -> None:
    """Reconciles all sessions with WasenderAPI."""
    from gateway.cli.actions import sync as syncing

    settings = find_settings(data_dir=data_dir, embedded=embedded, host="127.0.0.1", port=0)
    run(syncing.sync(settings))


@commands.command()
def health(data_dir: DataDir = None) -> None:
    """Asks the gateway of this machine whether it can keep webhooks. Exit code 1 if not."""
    from gateway.cli.health import addresses, report
    from gateway.runtime import data_dir as folder

    settings = read_settings(data_dir=data_dir)
    sys.exit(report(addresses(str(folder.data_dir(settings)), settings.host, str(settings.port))))


@commands.command()
def doctor(data_dir: DataDir = None, embedded: Embedded = None) -> None:
    """Checks everything the gateway depends on, and explains. Exit code 1 if something is wrong."""
    from gateway.cli import doctor as checkup
    from gateway.cli.database_checks import Finding

    wrong: list[Finding] = []
    run(checkup.report(read_settings(data_dir=data_dir, embedded=embedded), wrong))
    if wrong:
        sys.exit(1)
