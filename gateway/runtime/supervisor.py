"""Several processes on one port: a parent that serves nothing, and children that are whole gateways.

The parent binds the port, starts the embedded Postgres if there is one, and keeps `count` children running; each
listens, polls and serves for itself, exactly as gateways on several machines do. A child that dies is started
again, slower each time; one that cannot start at all ends the whole with its sentence.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

from gateway.domain.backoff import Backoff
from gateway.domain.errors import ConfigError
from gateway.runtime.data_dir import data_dir, read_secret
from gateway.runtime.database import open_database, open_direct, prepare_schema, require_database
from gateway.runtime.listen_socket import address_of, bind
from gateway.runtime.service_manager import ServiceManager
from gateway.runtime.signals import ShutdownSignals
from gateway.services.background import Background
from gateway.services.open_files import raise_open_files
from gateway.settings import Settings

logger = logging.getLogger(__name__)

SOCKET_FD = "WORKER_SOCKET_FD"
"""Environment variable that tells a child which open file is the bound socket."""

NUMBERS = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable that tells prometheus_client in which folder all children keep their numbers."""

STOP_S = 25.0
BACKOFF = Backoff(first_s=0.5, most_s=10.0)
HEALTHY_S = 10.0
"""A child that lived so long had started; its next start is not slowed down."""

CONFIG_ERROR = 2

Announce = Callable[[Settings, str, str], Awaitable[None]]
"""Of the settings, the database's address, and ours on this machine."""


LISTENING_FD = "WORKER_LISTENING_FD"
"""The same of the pipe that a child writes to when it accepts connections."""


def inherited_socket(environ: Mapping[str, str] = os.environ) -> socket.socket | None:
    """The port, in a child; None in a process that was started by hand."""
    number = environ.get(SOCKET_FD)
    return None if number is None else socket.socket(fileno=int(number))


def tell_listening(environ: Mapping[str, str] = os.environ) -> None:
    """Tells the parent that this child accepts connections; nothing in a process that was started by hand."""
    number = environ.get(LISTENING_FD)
    if number is not None:
        os.write(int(number), b".")


async def supervise(settings: Settings, announce: Announce) -> None:
    """Runs `settings.workers` children until a signal. Raises ConfigError if they cannot start.

    `announce` says once for all of them how to get in.
    """
    if settings.simulator:
        raise ConfigError(
            "The simulator is one process. Leave GATEWAY_WORKERS at 1, or run `gateway simulator`."
        )
    require_database(settings)
    # A mistake in the settings is said without them.
    from gateway.runtime.answering import answering
    from gateway.runtime.starting import until_there

    raise_open_files()
    shutdown = ShutdownSignals()
    shutdown.take()
    try:
        async with AsyncExitStack() as stack:
            sock = stack.enter_context(contextlib.closing(bind(settings.host, settings.port)))
            manager = ServiceManager()
            await stack.enter_async_context(manager.watched())
            starting = await stack.enter_async_context(answering(settings, sock, manager))
            dsn = await open_database(settings, stack)
            direct = await until_there(lambda: _prepare(settings, dsn, starting.tell), starting)
            await announce(settings, dsn, address_of(sock))
            shutdown.is_up = True
            passed = {SOCKET_FD: sock.fileno(), LISTENING_FD: starting.listening_fd}
            await _run_children(settings, _environ_of(settings, dsn, direct), passed, shutdown)
            manager.stopping()
    except asyncio.CancelledError:
        if not shutdown.stop.is_set():
            raise


async def _prepare(settings: Settings, dsn: str, tell: Callable[[str], None]) -> str:
    """The direct address of the database, which is up to date then. Raises ConfigError, StoreUnavailable."""
    from gateway.runtime.starting import MIGRATING, migrating

    direct = await open_direct(settings, dsn)
    tell(MIGRATING)
    await prepare_schema(settings, direct, lambda line: migrating(line, tell))
    return direct


def _environ_of(settings: Settings, dsn: str, direct: str) -> dict[str, str]:
    """What a child finds in its environment: the settings in force here, wherever they came from."""
    return {
        **os.environ,
        "DATABASE_URL": dsn,
        "GATEWAY_EMBEDDED": "false",
        "GATEWAY_SECRET": read_secret(settings),
        "GATEWAY_DATA_DIR": str(data_dir(settings)),
        "GATEWAY_HOST": settings.host,
        "GATEWAY_WORKERS": "1",
        "GATEWAY_NO_MIGRATE": str(int(settings.no_migrate)),
        # Never the one of the environment or of `.env`, which may be another database's.
        "GATEWAY_LISTEN_URL": direct,
        **({"GATEWAY_PUBLIC_URL": settings.public_url} if settings.public_url else {}),
    }


async def _run_children(
    settings: Settings, environ: Mapping[str, str], passed: Mapping[str, int], shutdown: ShutdownSignals
) -> None:
    """Keeps the children running until `stop`. `passed` are open files, by the variable that names each."""
    refused = asyncio.Event()
    async with AsyncExitStack() as stack:
        environ = {
            **environ,
            **{name: str(number) for name, number in passed.items()},
            # Before they import anything: it decides where their numbers are kept.
            NUMBERS: stack.enter_context(tempfile.TemporaryDirectory(prefix="whatsapp-gateway-metrics-")),
        }
        children = await stack.enter_async_context(asyncio.TaskGroup())
        running = [
            children.create_task(
                _keep_running(environ, tuple(passed.values()), shutdown, refused), name=f"worker-{number}"
            )
            for number in range(settings.workers)
        ]
        await shutdown.stop.wait()
        for child in running:
            child.cancel()
    if refused.is_set():
        raise ConfigError("The workers could not start: the line above says why.")


async def _keep_running(
    environ: Mapping[str, str], passed: tuple[int, ...], shutdown: ShutdownSignals, refused: asyncio.Event
) -> None:
    stop = shutdown.stop
    failures, pause_s = 0, 0.0
    was_healthy = False
    while not stop.is_set():
        await asyncio.sleep(pause_s)
        started_at = time.monotonic()
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway",
            "serve",
            env=environ,
            pass_fds=passed,
            start_new_session=True,
        )
        try:
            code = await child.wait()
        finally:
            await _end(child, shutdown.hasten)
            # What it counted stays counted; what it had at the moment it has no more.
            _forget(child.pid, environ[NUMBERS])
        if stop.is_set():
            return
        is_healthy = time.monotonic() - started_at > HEALTHY_S
        was_healthy = was_healthy or is_healthy
        if code == CONFIG_ERROR and not was_healthy:
            # What worked once is no mistake of the settings: then the database is away for a moment.
            refused.set()
            stop.set()
            return
        failures = 1 if is_healthy else failures + 1
        pause_s = BACKOFF.pause_s(failures)
        logger.error("worker.ended code=%d restart_in_s=%.1f", code, pause_s)


def _forget(pid: int, folder: str) -> None:
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]


async def _end(child: asyncio.subprocess.Process, hasten: asyncio.Event) -> None:
    """Asks the child to end, once more if we are asked to hasten, and insists."""
    if child.returncode is not None:
        return
    child.send_signal(signal.SIGTERM)

    async def ask_again() -> None:
        await hasten.wait()
        child.send_signal(signal.SIGTERM)

    asking = Background()
    asking.start(ask_again(), f"hasten-{child.pid}")
    try:
        async with asyncio.timeout(STOP_S):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()
    finally:
        await asking.close()
