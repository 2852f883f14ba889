"""As compose and systemd start it: a password apart from the address, a service manager, a health check."""

import asyncio
import signal
import socket
import sys

import asyncpg
import pytest

from tests.launcher.settings import SECRET
from tests.launcher.terminal import Terminal, until
from tests.processes.conftest import Role

ODD = """p@ss/w:o?r#d %41'"$&\\ ü"""


async def test_a_password_of_any_characters_stands_apart_from_the_address(
    terminal: Terminal, database: str, limited_role: Role
) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute(f"ALTER ROLE {limited_role.name} PASSWORD '{ODD.replace(chr(39), chr(39) * 2)}'")
    await connection.close()
    dsn = limited_role.dsn(database, password="x").replace(":x@", "@")
    env = {"DATABASE_URL": dsn, "GATEWAY_SECRET": SECRET}

    let_in = await terminal.run("migrate", env={**env, "PGPASSWORD": ODD})
    assert "permission denied" in let_in.complaint()  # the role may nothing here, but it is let in
    shut_out = await terminal.run("migrate", env={**env, "PGPASSWORD": ODD[1:]})
    assert "does not accept this user and password" in shut_out.complaint()


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_systemd_is_told_what_the_start_waits_for_that_it_is_ready_and_that_it_ends(
    terminal: Terminal, database: str, workers: str
) -> None:
    place = terminal.folder / "notify"
    told: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hearing:
        hearing.bind(str(place))
        hearing.setblocking(False)

        def hear() -> list[str]:
            try:
                while True:
                    told.append(hearing.recv(4096).decode())
            except BlockingIOError:
                return told

        env = {
            "DATABASE_URL": database,
            "GATEWAY_SECRET": SECRET,
            "NOTIFY_SOCKET": str(place),
            "WATCHDOG_USEC": "400000",
        }
        async with terminal.start("serve", "--port", "0", "--workers", workers, env=env) as serve:
            await until(lambda: "READY=1" in hear(), "it says that it is ready")
            assert any(line.startswith("STATUS=The gateway brings") for line in told)
            await until(lambda: hear().count("WATCHDOG=1") > 2, "it says that it lives")
            ended = await serve.end(signal.SIGTERM)
        hear()
    assert ended.code == 0, ended
    assert told.count("READY=1") == 1
    assert "STOPPING=1" in told


async def test_the_health_check_of_the_image_says_what_readyz_says(
    terminal: Terminal, database: str, free_port: int
) -> None:
    async def check(**more: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway.cli.health", env={**terminal.env, **more}, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        said, _ = await process.communicate()
        return process.returncode, said.decode()

    code, said = await check(GATEWAY_PORT=str(free_port))
    assert code == 1
    assert "nothing answers" in said
    env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET}
    async with terminal.start("serve", "--port", str(free_port), env=env) as serve:
        await serve.line("runs at")
        assert await check() == (
            0,
            f"http://127.0.0.1:{free_port}: ready\n",
        )  # the port stands in the data folder
        command = await terminal.run("health", env=env)
        assert (command.code, command.out) == (0, f"http://127.0.0.1:{free_port}: ready")
