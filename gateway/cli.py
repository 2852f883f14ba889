"""The command line: `gateway serve`, `demo`, `migrate`, `sync`, `token`, `integrations`, `simulator`.

Every mistake of the operator ends in one sentence on stderr and exit code 2.
"""

import asyncio
import io
import logging
import signal
import sys
import warnings
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.progress import Progress

from gateway import __version__, app, serving
from gateway.domain.access import Principal, Role
from gateway.domain.errors import ConfigError, GatewayError
from gateway.postgres import migrate as migrations
from gateway.postgres.credentials import CredentialTable
from gateway.postgres.pool import is_pooled_dsn, open_pool
from gateway.postgres.vault import Vault
from gateway.services.login import Login
from gateway.settings import Settings, read_settings
from gateway.wasender.simulator.settings import SimulatorSettings
from gateway.wasender.simulator.simulator import Simulator

cli = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Realtime gateway between WasenderAPI, Postgres and browsers.",
)
integrations = typer.Typer(no_args_is_help=True, help="Credentials of the services behind the gateway.")
cli.add_typer(integrations, name="integrations")

logger = logging.getLogger(__name__)

SECRET_BYTES = 32
"""RFC 7518 §3.2: a key of at least 256 bits for HS256. Shorter ones work, and can be guessed."""

# What is printed holds paths and addresses: neither "[::1]" nor ":tada:" is meant as markup.
out = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)

Host = Annotated[str | None, typer.Option("--host", help="Address to listen on. [GATEWAY_HOST]")]
Port = Annotated[
    int | None, typer.Option("--port", help="Port to listen on; 0 takes a free one. [GATEWAY_PORT]")
]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where data is kept. [GATEWAY_DATA_DIR]")]
Embedded = Annotated[
    bool | None, typer.Option("--embedded", help="A private Postgres, no server needed. [GATEWAY_EMBEDDED]")
]
Simulated = Annotated[
    bool | None,
    typer.Option("--simulator", help="The built-in stand-in for WasenderAPI. [GATEWAY_SIMULATOR]"),
]


def main() -> None:
    """Entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no "…" is no reason to fail
    # Said once, in our own words, by `serve`.
    warnings.filterwarnings("ignore", message="The HMAC key is")
    try:
        cli(standalone_mode=False)
    except ConfigError as error:
        _fail(error.message, 2)
    except GatewayError as error:
        _fail(error.message, 1)
    except typer.Exit as error:
        sys.exit(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except Exception as error:
        show = getattr(error, "show", None)  # click's own usage errors know how to print themselves
        if show is None:
            raise
        show()
        sys.exit(2)


def _fail(sentence: str, code: int) -> None:
    err.print("Error:", style="bold red", end=" ")
    err.print(sentence)
    sys.exit(code)


def _run(work: Coroutine[Any, Any, None]) -> None:
    async def until_told_to_end() -> None:
        main = asyncio.current_task()
        assert main is not None
        # So that what a command has opened, an embedded Postgres above all, is closed again.
        for number in serving.ending_signals():
            if number is not signal.SIGINT:  # asyncio makes a KeyboardInterrupt of it
                asyncio.get_running_loop().add_signal_handler(number, main.cancel)
        await work

    try:
        uvloop.run(until_told_to_end())
    except asyncio.CancelledError:
        sys.exit(143)


def _log(level: str) -> None:
    logging.basicConfig(
        stream=sys.stderr, level=level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


@cli.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        out.print(__version__)
        raise typer.Exit


# ---------------------------------------------------------------------------------------------- servers


@cli.command()
def serve(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    embedded: Embedded = None,
    simulator: Simulated = None,
    public_url: Annotated[
        str | None, typer.Option(help="Where WasenderAPI reaches us. [GATEWAY_PUBLIC_URL]")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes. [GATEWAY_WORKERS]")] = None,
) -> None:
    """The real thing: needs DATABASE_URL, or --embedded."""
    settings = read_settings(
        host=host,
        port=port,
        data_dir=data_dir,
        embedded=embedded,
        simulator=simulator,
        public_url=public_url,
        workers=workers,
    )
    _log(settings.log_level)
    if len(settings.secret or "") in range(1, SECRET_BYTES):
        logger.warning("secret.short recommended_bytes=%d", SECRET_BYTES)

    async def on_ready(gateway: app.Gateway) -> None:
        out.print(f"The gateway runs at {gateway.url}")
        if settings.is_loopback:
            out.print(f"Log in: {await gateway.login_link()}")

    _run(serving.run(settings, on_ready))


@cli.command()
def demo(port: Port = None, data_dir: DataDir = None) -> None:
    """Everything on loopback by one command: Postgres, a simulated WhatsApp, the page."""
    settings = read_settings(host="127.0.0.1", port=port, data_dir=data_dir, embedded=True, simulator=True)
    settings = settings.model_copy(
        update={"data_dir": app.data_dir(settings) / "demo", "public_url": None, "workers": 1}
    )
    _log("warning")
    out.print("Starting Postgres, the simulator and the gateway…")

    async def on_ready(gateway: app.Gateway) -> None:
        out.print(f"\nOpen this address in a browser:\n\n    {await gateway.login_link()}\n", style="bold")
        out.print(
            f"A simulated phone to scan codes and write messages with: {gateway.url}/simulator\n"
            f"Your data stays in {settings.data_dir}. Ctrl-C ends everything."
        )

    _run(serving.run(settings, on_ready))
    out.print("Stopped. The next start finds everything again.")


@cli.command()
def simulator(
    port: Annotated[
        int, typer.Option("--port", help="Port to listen on; 0 takes a free one.", envvar="SIMULATOR_PORT")
    ] = 8100,
    state: Annotated[
        Path | None, typer.Option("--state", help="File that keeps its state.", envvar="SIMULATOR_STATE")
    ] = None,
    token: Annotated[
        str | None, typer.Option("--token", help="Account token it accepts.", envvar="SIMULATOR_TOKEN")
    ] = None,
) -> None:
    """The stand-in for WasenderAPI alone, on a port of its own (loopback only)."""
    _log("warning")
    path = state or app.data_dir(read_settings()) / "simulator.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"The folder {path.parent} cannot be used ({error.strerror}): choose another file with --state."
        ) from None
    stand_in = Simulator(path, settings=SimulatorSettings(account_token=token))
    _run(_serve_simulator(stand_in, port))


async def _serve_simulator(stand_in: Simulator, port: int) -> None:
    sock = serving.bind("127.0.0.1", port)
    url = serving.address_of(sock)

    def announce() -> None:
        out.print(
            f"The simulator of WasenderAPI runs.\n"
            f"    WASENDER_BASE_URL={url}/api\n"
            f"    WASENDER_TOKEN={stand_in.account_token}\n"
            f"The simulated phone: {url}/simulator"
        )

    await serving.run_app(stand_in.standalone_app(), sock, announce, stand_in.release)


# ---------------------------------------------------------------------------------------------- database


@cli.command()
def migrate(
    remove: Annotated[bool, typer.Option("--remove", help="Drop what is ours, and only that.")] = False,
    data_dir: DataDir = None,
    embedded: Embedded = None,
) -> None:
    """Brings the database up to date. Safe to repeat, and to run twice at once."""
    settings = read_settings(data_dir=data_dir, embedded=embedded)
    _run(_migrate(settings, remove))


async def _migrate(settings: Settings, remove: bool) -> None:
    async with AsyncExitStack() as stack:
        dsn = await app.open_database(settings, stack)
        dsn = settings.listen_url or dsn
        if remove:
            await migrations.remove(dsn, report=out.print)
            return
        applied = await migrations.migrate(dsn, report=out.print)
        out.print(f"{len(applied)} applied." if applied else "Nothing to do: the database is up to date.")


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
    _run(_store_token(settings, token.strip()))


async def _store_token(settings: Settings, token: str) -> None:
    async with AsyncExitStack() as stack:
        dsn = await app.open_database(settings, stack)
        await migrations.migrate(settings.listen_url or dsn, report=lambda line: None)
        pool = await open_pool(dsn, timezone=settings.timezone, pooled=is_pooled_dsn(dsn))
        stack.push_async_callback(app.close_pool, pool)
        sealing = bool(await pool.fetchval(app.IS_SEALING))
        await CredentialTable(pool, Vault(app.read_secret(settings), is_sealing=sealing)).set_account_token(
            token
        )
    out.print("Stored. Running gateways use it within a minute.")


@cli.command()
def sync(data_dir: DataDir = None, embedded: Embedded = None) -> None:
    """Reconciles all sessions with WasenderAPI."""
    settings = read_settings(data_dir=data_dir, embedded=embedded, host="127.0.0.1", port=0)
    _run(_sync(settings))


async def _sync(settings: Settings) -> None:
    async with app.Gateway(settings, "http://127.0.0.1") as gateway:
        await gateway.drain()  # it is here for this one thing, and upkeep would sync at the same time
        with Progress(console=err, transient=True, disable=not err.is_terminal) as bar:
            line = bar.add_task("Sessions", total=None)
            report = await gateway.sessions.sync(
                progress=lambda done, total: bar.update(line, completed=done, total=total)
            )
    out.print(
        f"{report.total} sessions: {report.created} created, {report.updated} updated, "
        f"{report.gone} gone, {report.unchanged} unchanged."
    )
    for line_of_error in report.errors:
        err.print(line_of_error)


# ---------------------------------------------------------------------------------------------- logins


@cli.command()
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
    signer = Login(app.read_secret(settings), _NoTickets())
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
