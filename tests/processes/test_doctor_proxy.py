"""`gateway doctor` behind a real nginx that lacks a line of docs/proxy names what the proxy has to pass on."""

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.launcher.running import Running
from tests.launcher.settings import SECRET
from tests.launcher.terminal import Terminal, until
from tests.processes.test_doctor_command import lines_of
from tests.processes.test_proxies import FILES, free_port

UPGRADE = ("proxy_http_version", "proxy_set_header Upgrade", "proxy_set_header Connection")
LACKS = {"Upgrade": UPGRADE, "Host": ("proxy_set_header Host",), "nothing": ()}


def site_without(lines: tuple[str, ...], port: int) -> str:
    """A server of nginx that passes on what docs/proxy says, but for these lines."""
    passed = [
        line for line in (FILES / "nginx-proxy.conf").read_text().splitlines()
        if not line.startswith(lines or ("#",))
    ]  # fmt: skip
    return (
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://whatsapp_gateway;\n"
        + "\n".join(passed)
        + "\n} }\n"
    )


@contextlib.asynccontextmanager
async def nginx(folder: Path, sites: str, port: int) -> AsyncIterator[None]:
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    head = "map $http_upgrade $whatsapp_gateway_connection { default upgrade; '' close; }\n"
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\nevents {{}}\n"
        f"http {{ access_log off;\n{places}{head}{sites}\n}}\n"
    )
    process = await asyncio.create_subprocess_exec(
        "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr",
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await until(lambda: is_open(port), "nginx listens")
        yield
    finally:
        process.terminate()
        await process.wait()


def is_open(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.skipif(shutil.which("nginx", path="/usr/sbin:/usr/bin") is None, reason="nginx is not installed")
async def test_doctor_names_the_header_that_a_proxy_does_not_pass_on(
    terminal: Terminal, gateway: Running, database: str, tmp_path: Path
) -> None:
    ports = {lacks: free_port() for lacks in LACKS}
    upstream = int(gateway.url.rsplit(":", 1)[1])
    sites = f"upstream whatsapp_gateway {{ server 127.0.0.1:{upstream}; }}\n" + "".join(
        site_without(LACKS[lacks], port) for lacks, port in ports.items()
    )
    folder = tmp_path / "nginx"
    folder.mkdir()
    said = {}
    async with nginx(folder, sites, max(ports.values())):
        for lacks, port in ports.items():
            env = {
                "DATABASE_URL": database,
                "GATEWAY_SECRET": SECRET,
                "GATEWAY_PUBLIC_URL": f"http://127.0.0.1:{port}",
            }
            said[lacks] = lines_of(await terminal.run("doctor", env=env))

    assert {found["address"][0] for found in said.values()} == {"ok"}
    assert said["nothing"]["websocket"][0] == "ok"
    assert said["Upgrade"]["websocket"] == (
        "FAIL",
        "A WebSocket through the public address was refused with status 426: let the proxy speak HTTP/1.1 to the "
        "gateway, and pass `Upgrade` and `Connection` on.",
    )
    assert said["Host"]["websocket"] == (
        "FAIL",
        "The proxy passes another name on than the public address has: let it pass the `Host` on.",
    )
