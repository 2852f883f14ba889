"""Commands that serve: `serve`, `demo`, `simulator`."""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli.console import DataDir, Embedded, out, read_settings, run
from gateway.cli.log import start_logging
from gateway.domain.errors import ConfigError

if TYPE_CHECKING:
    from gateway.runtime.gateway import Gateway
    from gateway.settings import Settings
    from gateway.simulator.app import Simulator

commands = typer.Typer()

logger = logging.getLogger(__name__)

Host = Annotated[str | None, typer.Option("--host", help="Address to listen on. [GATEWAY_HOST]")]
Port = Annotated[
    int | None, typer.Option("--port", help="Port to listen on; 0 takes a free one. [GATEWAY_PORT]")
]
Simulated = Annotated[
    bool | None,
    typer.Option("--simulator", help="The built-in stand-in for WasenderAPI. [GATEWAY_SIMULATOR]"),
]


NoMigrate = Annotated[
    bool | None,
    typer.Option("--no-migrate", help="Refuse an older schema, and change none. [GATEWAY_NO_MIGRATE]"),
]
PublicUrl = Annotated[str | None, typer.Option(help="Where WasenderAPI reaches us. [GATEWAY_PUBLIC_URL]")]


@commands.command()
def serve(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    embedded: Embedded = None,
    simulator: Simulated = None,
    public_url: PublicUrl = None,
    workers: Annotated[int | None, typer.Option(help="Processes. [GATEWAY_WORKERS]")] = None,
    no_migrate: NoMigrate = None,
) -> None:
    """Runs the gateway. It needs DATABASE_URL, or --embedded."""
    from gateway.cli.actions import people
    from gateway.runtime import data_dir as folder
    from gateway.runtime import supervisor as several

    settings = read_settings(
        host=host,
        port=port,
        data_dir=data_dir,
        embedded=embedded,
        simulator=simulator,
        public_url=public_url,
        workers=workers,
        no_migrate=no_migrate,
    )
    start_logging(settings.log_level, settings.log_format)
    folder.require_disk(settings)
    if settings.secret or not settings.is_loopback:
        folder.read_secret(settings)  # refuses one that can be guessed, before anything is opened
    if len((settings.secret or "").encode()) in range(1, folder.MIN_SECRET_BYTES):
        logger.warning("secret.short recommended_bytes=%d", folder.MIN_SECRET_BYTES)
    if settings.workers > 1:
        out.print(f"{settings.workers} workers share the port.")
        run(several.supervise(settings, people.say_how_to_get_in))
    else:
        _serve_alone(settings)


def _serve_alone(settings: "Settings") -> None:
    """One process: a gateway of its own, or a worker on the port of its parent."""
    from gateway.runtime import server as serving
    from gateway.runtime import supervisor as several

    inherited = several.inherited_socket()

    async def on_ready(gateway: "Gateway") -> None:
        await _announce(gateway, inherited is not None)

    run(serving.run(settings, on_ready, inherited, on_listening=several.tell_listening))


async def _announce(gateway: "Gateway", is_worker: bool) -> None:
    """Says where the gateway runs, and how to get in; the supervisor of workers says that once for all of them."""
    from gateway.cli.actions import people

    settings = gateway.settings
    out.print(f"The gateway runs at {gateway.url}")
    if is_worker:
        return
    if settings.is_loopback and sys.stdout.isatty():
        out.print(f"Log in: {await gateway.login_link()}")
    else:  # a service's output is kept, and read by many
        await people.say_how_to_get_in(settings, gateway.database_url, gateway.url)


@commands.command()
def demo(port: Port = None, data_dir: DataDir = None) -> None:
    """Everything on loopback by one command: Postgres, a simulated WhatsApp, the page."""
    from gateway.runtime import data_dir as folder

    settings = folder.demo_settings(read_settings(port=port, data_dir=data_dir, embedded=True))
    start_logging("warning", settings.log_format)
    out.print("Starting Postgres, the simulator and the gateway…")
    from gateway.runtime import (
        server as serving,  # takes half a second: the line above is on the screen by then
    )

    async def on_ready(gateway: "Gateway") -> None:
        out.print(f"\nOpen this address in a browser:\n\n    {await gateway.login_link()}\n", style="bold")
        out.print(
            f"A simulated phone to scan codes and write messages with: {gateway.url}/simulator\n"
            f"Your data stays in {settings.data_dir}. Ctrl-C ends everything."
        )

    run(serving.run(settings, on_ready))
    out.print("Stopped. The next start finds everything again.")


@commands.command()
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
    from gateway.runtime import data_dir as folder
    from gateway.simulator.app import Simulator
    from gateway.simulator.settings import SimulatorSettings

    start_logging("warning")
    path = state or folder.data_dir(read_settings()) / "simulator.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"The folder {path.parent} cannot be used ({error.strerror}): choose another file with --state."
        ) from None
    stand_in = Simulator(path, settings=SimulatorSettings(account_token=token))
    run(_serve_simulator(stand_in, port))


async def _serve_simulator(stand_in: "Simulator", port: int) -> None:
    from gateway.runtime import listen_socket as ports
    from gateway.runtime import server as serving

    sock = ports.bind("127.0.0.1", port)
    url = ports.address_of(sock)

    def announce() -> None:
        out.print(
            f"The simulator of WasenderAPI runs.\n"
            f"    WASENDER_BASE_URL={url}/api\n"
            f"    WASENDER_TOKEN={stand_in.account_token}\n"
            f"The simulated phone: {url}/simulator"
        )

    await serving.run_app(stand_in.standalone_app(), sock, announce, stand_in.release)
