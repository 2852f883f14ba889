"""Settings that cannot be meant: one sentence that names the setting, exit code 2, and no traceback."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from pathlib import Path

import pytest

from tests.launcher.running import reach
from tests.launcher.settings import SECRET
from tests.launcher.terminal import Terminal

# Refused before the database is asked: nothing listens there.
NOWHERE = {"DATABASE_URL": "postgresql://gateway:pass@127.0.0.1:1/shop", "GATEWAY_SECRET": SECRET}


async def test_a_port_in_use_is_named(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for arguments, env in ((["--port", port], {}), ([], {"GATEWAY_PORT": port})):
            ended = await terminal.run("serve", *arguments, env={**NOWHERE, **env})
            assert f"Port {port} is in use" in ended.complaint()
        assert f"Port {port} is in use" in (await terminal.run("simulator", "--port", port)).complaint()


async def test_an_address_that_is_not_of_this_machine_is_refused(terminal: Terminal) -> None:
    ended = await terminal.run("serve", "--host", "192.0.2.1", "--port", "0", env=NOWHERE)

    assert "192.0.2.1:0 cannot be opened" in ended.complaint()


async def test_a_complaint_is_taken_literally_at_a_real_terminal_too(terminal: Terminal) -> None:
    ours, theirs = os.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", "token", "--expires", "[/nonsense]",
            cwd=terminal.folder, env={**terminal.env, "TERM": "xterm"}, stdout=theirs, stderr=theirs,
        )  # fmt: skip
        code = await process.wait()
        said = os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(theirs)

    assert code == 2
    assert "'[/nonsense]' is not a time" in said
    assert "\x1b[1;31mError:" in said


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("GATEWAY_PROT", "8000", "There is no setting GATEWAY_PROT. Did you mean GATEWAY_PORT?"),
        ("GATEWAY_PORT", "eighty", "GATEWAY_PORT"),
        ("GATEWAY_LOG_LEVEL", "loud", "GATEWAY_LOG_LEVEL must be debug, info, warning or error"),
        ("GATEWAY_LOG_FORMAT", "xml", "GATEWAY_LOG_FORMAT must be text or json"),
        ("DATABASE_URL", "postgresql://shop:pa/ss@127.0.0.1:1/shop", "in a password written as %40, %2F"),
        ("DATABASE_URL", "postgresql://shop:pa%40ss@127.0.0.1:1/shop", "Nothing listens at 127.0.0.1:1"),
        ("DATABASE_URL", "postgresql://shop@/shop?host=/nowhere", "There is no Postgres socket at /nowhere"),
        ("DATABASE_URL", "postgresql:///shop?host=/nowhere", "There is no Postgres socket at /nowhere"),
        ("DATABASE_URL", "postgresql://127.0.0.1:1", "Nothing listens at 127.0.0.1:1"),
    ],
)
async def test_a_setting_that_cannot_be_meant_is_named(
    terminal: Terminal, name: str, value: str, expected: str
) -> None:
    # More of them in tests/unit/test_settings.py.
    ended = await terminal.run("serve", env={**NOWHERE, "GATEWAY_PORT": "0", name: value})

    assert expected in ended.complaint()


@pytest.mark.parametrize("value", ["wasender", "http://www.wasenderapi.com", "https://", "ftp://127.0.0.1"])
async def test_an_upstream_address_that_would_show_the_token_or_lead_nowhere_is_refused(
    terminal: Terminal, database: str, value: str
) -> None:
    env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET, "WASENDER_BASE_URL": value}

    assert "WASENDER_BASE_URL" in (await terminal.run("serve", "--port", "0", env=env)).complaint()


async def test_a_terminal_that_knows_no_typography_still_gets_its_link(
    terminal: Terminal, used_data_dir: Path
) -> None:
    arguments = ["demo", "--port", "0", "--data-dir", str(used_data_dir)]
    async with terminal.start(*arguments, env={"PYTHONIOENCODING": "ascii"}) as demo:
        await demo.line("/login")


async def test_a_short_secret_is_taken_with_a_word_of_warning(terminal: Terminal, database: str) -> None:
    env = {"DATABASE_URL": database, "GATEWAY_SECRET": "short"}
    async with terminal.start("serve", "--port", "0", env=env) as serve:
        await serve.line("runs at")
        ended = await serve.end(signal.SIGTERM)

    assert "secret.short" in ended.err
    assert "InsecureKeyLengthWarning" not in ended.err
    assert (await terminal.run("token", env=env)).err == ""


async def test_a_misspelt_setting_in_the_env_file_is_named_too(terminal: Terminal) -> None:
    (terminal.folder / ".env").write_text("GATEWAY_HSOT=0.0.0.0\n")

    assert (
        "There is no setting GATEWAY_HSOT. Did you mean GATEWAY_HOST?"
        in (await terminal.run("serve", env=NOWHERE)).complaint()
    )


async def test_an_env_file_that_is_no_text_is_refused(terminal: Terminal) -> None:
    (terminal.folder / ".env").write_bytes(b"GATEWAY_PORT=8000\n\xff\xfe\n")

    assert ".env cannot be read" in (await terminal.run("serve", env=NOWHERE)).complaint()


async def test_flags_beat_the_environment_and_that_beats_the_env_file(
    terminal: Terminal, database: str, free_port: int
) -> None:
    (terminal.folder / ".env").write_text(
        f"GATEWAY_PORT=1\nGATEWAY_SECRET={SECRET}\nGATEWAY_HOST=192.0.2.1\n"
    )
    env = {"DATABASE_URL": database, "GATEWAY_HOST": "127.0.0.1", "GATEWAY_PORT": "2"}
    async with (
        terminal.start("serve", "--port", str(free_port), env=env) as serve,
        reach((await serve.line(r"runs at (\S+)"))[1]) as remote,
    ):
        assert remote.url == f"http://127.0.0.1:{free_port}"
        assert (await remote.call("GET", "/api/me"))[0] == 200  # the secret of the file is in force


async def test_what_kubernetes_injects_is_not_taken_for_settings(terminal: Terminal, database: str) -> None:
    env = {
        "DATABASE_URL": database,
        "GATEWAY_SECRET": SECRET,
        "GATEWAY_PORT": "tcp://10.0.0.1:80",
        "GATEWAY_SERVICE_HOST": "10.0.0.1",
        "GATEWAY_SERVICE_PORT": "80",
        "GATEWAY_SERVICE_PORT_HTTP": "80",
        "GATEWAY_PORT_80_TCP": "tcp://10.0.0.1:80",
        "GATEWAY_PORT_80_TCP_ADDR": "10.0.0.1",
        "GATEWAY_PORT_80_TCP_PORT": "80",
        "GATEWAY_PORT_80_TCP_PROTO": "tcp",
    }
    async with terminal.start("serve", "--port", "0", env=env) as serve:
        await serve.line("runs at")
        assert (await serve.end(signal.SIGTERM)).code == 0


async def test_a_gateway_that_others_can_reach_needs_a_secret(terminal: Terminal, database: str) -> None:
    env = {"DATABASE_URL": database, "GATEWAY_HOST": "0.0.0.0"}

    ended = await terminal.run("serve", "--port", "0", "--data-dir", terminal.folder, env=env)

    assert "GATEWAY_SECRET is required" in ended.complaint()
    assert not (terminal.folder / "secret").exists()


async def test_without_any_database_the_two_ways_to_one_are_named(terminal: Terminal) -> None:
    for command in (["serve", "--port", "0"], ["migrate"], ["sync"]):
        complaint = (await terminal.run(*command, "--data-dir", terminal.folder)).complaint()
        assert "DATABASE_URL" in complaint
        assert "--embedded" in complaint


async def test_the_simulator_is_refused_where_others_could_reach_it(
    terminal: Terminal, database: str
) -> None:
    env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET, "GATEWAY_HOST": "0.0.0.0"}

    ended = await terminal.run("serve", "--simulator", "--port", "0", env=env)

    assert "loopback only" in ended.complaint()


@pytest.mark.parametrize("command", [["demo"], ["serve", "--embedded"], ["migrate", "--embedded"], ["token"]])
async def test_a_data_folder_that_is_a_file_is_refused(terminal: Terminal, command: list[str]) -> None:
    (terminal.folder / "data").write_text("a file")

    port = ["--port", "0"] if command[0] in ("demo", "serve") else []
    ended = await terminal.run(*command, *port, "--data-dir", terminal.folder / "data")

    complaint = ended.complaint()
    assert f"{terminal.folder}/data" in complaint
    assert "GATEWAY_DATA_DIR" in complaint


@pytest.mark.parametrize("command", ["demo", "token", "simulator"])
async def test_a_data_folder_that_cannot_be_made_is_refused(terminal: Terminal, command: str) -> None:
    # Not by permissions: root may write everywhere but here.
    folder = Path("/proc/gateway-data")
    port = [] if command == "token" else ["--port", "0"]

    ended = await terminal.run(command, *port, env={"GATEWAY_DATA_DIR": str(folder)})

    assert str(folder) in ended.complaint()


@pytest.mark.parametrize(("content", "what"), [(b"", "empty"), (b"\xff\xfe", "no text")])
async def test_a_secret_file_that_holds_none_is_named(terminal: Terminal, content: bytes, what: str) -> None:
    (terminal.folder / "secret").write_bytes(content)

    complaint = (await terminal.run("token", "--data-dir", terminal.folder)).complaint()

    assert f"{terminal.folder / 'secret'} is {what}" in complaint


async def test_a_broken_state_file_of_the_simulator_is_named(terminal: Terminal) -> None:
    state = terminal.folder / "state.json"
    state.write_text("{not json")

    assert str(state) in (await terminal.run("simulator", "--port", "0", "--state", state)).complaint()


@pytest.mark.parametrize(
    "arguments",
    [["serv"], ["serve", "--prot", "1"], ["serve", "--port", "eighty"], ["token", "--session", "x"],
     ["integrations", "set"], ["integrations", "unset", "wasender"], ["migrate", "up"]],
)  # fmt: skip
async def test_a_mistyped_command_line_shows_its_usage(terminal: Terminal, arguments: list[str]) -> None:
    ended = await terminal.run(*arguments)

    assert ended.code == 2
    assert "Usage:" in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""


async def test_serve_refuses_a_data_folder_in_memory(terminal: Terminal, database: str) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET, "GATEWAY_DATA_DIR": f"{folder}/new/data"}
        complaint = (await terminal.run("serve", "--port", "0", env=env)).complaint()

    assert "is in memory (tmpfs)" in complaint
    assert "Set GATEWAY_DATA_DIR to a folder on a disk" in complaint


async def test_a_data_folder_that_takes_nothing_is_one_sentence(terminal: Terminal, database: str) -> None:
    (terminal.folder / "file").write_text("")
    folder = str(terminal.folder / "file" / "data")
    env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET, "GATEWAY_DATA_DIR": folder}
    complaint = (await terminal.run("serve", "--port", "0", env=env)).complaint()

    assert complaint.startswith(f"Webhooks cannot be kept in {folder}/spool while Postgres is away")
