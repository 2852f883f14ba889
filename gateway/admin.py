"""Commands that look after a gateway: `migrate`, `integrations`, `sync`, `token`."""

import sys
from contextlib import AsyncExitStack
from typing import Annotated, Any

import asyncpg
import typer
from rich.progress import Progress

from gateway import ground
from gateway.domain.access import Principal, Role
from gateway.domain.errors import ConfigError, GatewayError
from gateway.postgres import migrate as migrations
from gateway.postgres.credentials import CredentialTable
from gateway.postgres.pool import open_pool
from gateway.postgres.sessions import SessionTable
from gateway.postgres.trail import TrailTable
from gateway.postgres.vault import Vault
from gateway.services.account import AccountToken
from gateway.services.login import Login
from gateway.services.reconcile import Reconciler
from gateway.settings import Settings, read_settings
from gateway.terminal import DataDir, Embedded, err, out, run
from gateway.wasender.client import WasenderClient
from gateway.wasender.orders import BACKGROUND

commands = typer.Typer()
integrations = typer.Typer(no_args_is_help=True, help="Credentials of the services behind the gateway.")
commands.add_typer(integrations, name="integrations")
secrets = typer.Typer(no_args_is_help=True, help="Secrets that are stored in the database.")
commands.add_typer(secrets, name="secrets")

# ---------------------------------------------------------------------------------------------- database


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
    settings = read_settings(data_dir=data_dir, embedded=embedded)
    run(_migrate(settings, remove, restored))


async def _migrate(settings: Settings, remove: bool, restored: bool) -> None:
    async with AsyncExitStack() as stack:
        dsn = await ground.open_database(settings, stack)
        dsn = settings.listen_url or dsn
        if remove:
            await migrations.remove(dsn, report=out.print)
            return
        applied = await migrations.migrate(dsn, report=out.print)
        out.print(f"{len(applied)} applied." if applied else "Nothing to do: the database is up to date.")
        if restored:
            await migrations.begin_anew(dsn, report=out.print)


@integrations.command("set")
def set_integration(
    name: Annotated[str, typer.Argument(help="wasender")],
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """Stores the account token of WasenderAPI, read from stdin or a prompt."""
    if name != "wasender":
        raise ConfigError(f"There is no integration {name!r}: only wasender.")
    settings = read_settings(data_dir=data_dir, embedded=embedded)
    token = typer.prompt("Account token", hide_input=True) if sys.stdin.isatty() else sys.stdin.readline()
    if not token.strip():
        raise ConfigError("The token is empty. Give it on stdin, or at the prompt.")
    run(_store_token(settings, token.strip()))


async def _store_token(settings: Settings, token: str) -> None:
    async with AsyncExitStack() as stack:
        pool, vault = await _open_tables(settings, stack)
        await CredentialTable(pool, vault).set_account_token(token)
    out.print("Stored. Running gateways use it within a minute.")


@secrets.command("encrypt")
def encrypt_secrets(data_dir: DataDir = None, embedded: Embedded = None) -> None:
    """Encrypts keys and webhook secrets at rest, with GATEWAY_SECRET. The shop's own code cannot read them then."""
    run(_encrypt_secrets(read_settings(data_dir=data_dir, embedded=embedded)))


async def _encrypt_secrets(settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        pool, vault = await _open_tables(settings, stack)
        count = await CredentialTable(pool, vault).encrypt_secrets()
    out.print(
        f"{count} secrets encrypted. Keep GATEWAY_SECRET: nothing else opens them. "
        "Restart running gateways: until then they store new secrets as before."
    )


async def _open_tables(settings: Settings, stack: AsyncExitStack) -> tuple[asyncpg.Pool, Vault]:
    """The database, up to date, and what opens its secrets; both end with the stack."""
    dsn = await ground.open_database(settings, stack)
    await migrations.migrate(settings.listen_url or dsn, report=lambda line: None)
    pool = await open_pool(dsn, timezone=settings.timezone, pooled=ground.is_pooled(settings, dsn))
    stack.push_async_callback(ground.close_pool, pool)
    return pool, await ground.open_vault(pool, ground.read_secret(settings))


@commands.command()
def sync(data_dir: DataDir = None, embedded: Embedded = None) -> None:
    """Reconciles all sessions with WasenderAPI."""
    settings = read_settings(data_dir=data_dir, embedded=embedded, host="127.0.0.1", port=0)
    run(_sync(settings))


async def _sync(settings: Settings) -> None:
    if settings.simulator:
        raise ConfigError(
            "The simulator lives inside its gateway, so it cannot be asked from here. Reconcile on the page instead."
        )
    async with AsyncExitStack() as stack:
        pool, vault = await _open_tables(settings, stack)
        token = AccountToken(settings.wasender_token, CredentialTable(pool, vault))
        upstream = await stack.enter_async_context(WasenderClient(settings.wasender_base_url, token))
        reconciler = Reconciler(
            upstream.with_patience(BACKGROUND), SessionTable(pool, vault), log=TrailTable(pool).log
        )
        with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
            line = bar.add_task("Sessions", total=None)
            report = await reconciler.sync(
                progress=lambda done, total: bar.update(line, completed=done, total=total)
            )
    out.print(
        f"{report.total} sessions: {report.created} created, {report.updated} updated, "
        f"{report.gone} gone, {report.unchanged} unchanged."
    )
    for line_of_error in report.errors:
        err.print(line_of_error)


# ---------------------------------------------------------------------------------------------- logins


@commands.command()
def token(
    role: Annotated[str, typer.Option(help="viewer, agent or admin.")] = "agent",
    name: Annotated[str, typer.Option(help="Who it is for; shown in the audit trail.")] = "token",
    session: Annotated[list[int] | None, typer.Option(min=1, help="Sessions it covers; default all.")] = None,
    expires: Annotated[str, typer.Option(help="How long it is good: 30m, 12h, 7d.")] = "12h",
    data_dir: DataDir = None,
) -> None:
    """Prints a JWT for the API and the sockets."""
    settings = read_settings(data_dir=data_dir)
    sessions = frozenset(session) if session else None
    try:
        principal = Principal(sub=name, name=name, role=Role.parse(role), sessions=sessions)
    except GatewayError as error:
        raise ConfigError(error.message) from None
    signer = Login(ground.read_secret(settings), _NoTickets())
    print(signer.issue(principal, _duration_s(expires))[0])  # noqa: T201


def _duration_s(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = text[:-1], text[-1:]
    is_number = number.isascii() and number.isdigit() and len(number) <= 9
    if unit not in units or not is_number or int(number) == 0:
        raise ConfigError(f"{text!r} is not a time like 30m, 12h or 7d.")
    return float(int(number) * units[unit])


class _NoTickets:
    """A signer without a database."""

    async def keep_ticket(self, digest: bytes, kind: str, claims: dict[str, Any], life_s: float) -> None:
        raise AssertionError("tickets need a database")

    async def use_ticket(self, digest: bytes) -> tuple[str, dict[str, Any]] | None:
        raise AssertionError("tickets need a database")
