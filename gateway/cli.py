"""The command line: `gateway serve`, `demo`, `migrate`, `sync`, `token`, `integrations`, `simulator`.

Every mistake of the operator ends in one sentence on stderr and exit code 2.
"""

import io
import logging
import sys
import warnings
from pathlib import Path
from typing import Annotated

import typer

from gateway import __version__, admin, app, doctor, ground, journal, serving
from gateway import workers as several
from gateway.domain.errors import ConfigError, GatewayError
from gateway.settings import read_settings
from gateway.terminal import DataDir, Embedded, err, out, run
from gateway.wasender.simulator.settings import SimulatorSettings
from gateway.wasender.simulator.simulator import Simulator

cli = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Realtime gateway between WasenderAPI, Postgres and browsers.",
)
cli.add_typer(admin.commands)
cli.add_typer(journal.journal, name="journal")
cli.add_typer(doctor.commands)

logger = logging.getLogger(__name__)

SECRET_BYTES = 32
"""RFC 7518 §3.2: a key of at least 256 bits for HS256. Shorter ones work, and can be guessed."""

Host = Annotated[str | None, typer.Option("--host", help="Address to listen on. [GATEWAY_HOST]")]
Port = Annotated[
    int | None, typer.Option("--port", help="Port to listen on; 0 takes a free one. [GATEWAY_PORT]")
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


def _log(level: str) -> None:
    logging.basicConfig(
        stream=sys.stderr, level=level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    # While Postgres is away, asyncpg prints a traceback for each try to keep its pool filled. We say so ourselves.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)


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
    ground.require_disk(settings)
    if len(settings.secret or "") in range(1, SECRET_BYTES):
        logger.warning("secret.short recommended_bytes=%d", SECRET_BYTES)

    async def on_ready(gateway: app.Gateway) -> None:
        out.print(f"The gateway runs at {gateway.url}")
        if settings.is_loopback:
            out.print(f"Log in: {await gateway.login_link()}")

    if settings.workers > 1:
        out.print(f"{settings.workers} workers share the port.")
        run(several.supervise(settings))
    else:
        run(serving.run(settings, on_ready, several.inherited_socket()))


@cli.command()
def demo(port: Port = None, data_dir: DataDir = None) -> None:
    """Everything on loopback by one command: Postgres, a simulated WhatsApp, the page."""
    settings = read_settings(host="127.0.0.1", port=port, data_dir=data_dir, embedded=True, simulator=True)
    settings = settings.model_copy(
        update={
            # The secret stays where `gateway token` looks for it.
            "secret": ground.read_secret(settings),
            "data_dir": ground.data_dir(settings) / "demo",
            "public_url": None,
            "workers": 1,
        }
    )
    _log("warning")
    out.print("Starting Postgres, the simulator and the gateway…")

    async def on_ready(gateway: app.Gateway) -> None:
        out.print(f"\nOpen this address in a browser:\n\n    {await gateway.login_link()}\n", style="bold")
        out.print(
            f"A simulated phone to scan codes and write messages with: {gateway.url}/simulator\n"
            f"Your data stays in {settings.data_dir}. Ctrl-C ends everything."
        )

    run(serving.run(settings, on_ready))
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
    path = state or ground.data_dir(read_settings()) / "simulator.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"The folder {path.parent} cannot be used ({error.strerror}): choose another file with --state."
        ) from None
    stand_in = Simulator(path, settings=SimulatorSettings(account_token=token))
    run(_serve_simulator(stand_in, port))


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
