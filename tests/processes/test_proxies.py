"""The files of docs/proxy, run as they are but for names, ports and certificates, by Debian's nginx and Caddy."""

import asyncio
import contextlib
import datetime
import io
import ipaddress
import json
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import connect

from gateway.runtime.context import DEFAULT_TIMINGS
from tests.launcher.running import Running, running
from tests.launcher.settings import settings_for
from tests.launcher.terminal import PATIENCE_S

FILES = Path(__file__).parents[2] / "docs" / "proxy"
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Proxied:
    kind: str
    gateway: Running
    port: int
    tls: ssl.SSLContext

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


def make_certificate(folder: Path) -> None:
    """`cert.pem` and `key.pem` for localhost, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    names: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), False)
        .add_extension(x509.BasicConstraints(True, None), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    for before, after in pairs:
        assert before in text, f"the file of docs/proxy has no {before!r}"
        text = text.replace(before, after)
    return text


def nginx_command(folder: Path, port: int, upstream: int) -> list[str]:
    site = replaced(
        (FILES / "nginx.conf").read_text(),
        ("127.0.0.1:8000", f"127.0.0.1:{upstream}"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("server_name gateway.example.com", "server_name localhost"),
        ("/etc/letsencrypt/live/gateway.example.com/fullchain.pem", f"{folder}/cert.pem"),
        ("/etc/letsencrypt/live/gateway.example.com/privkey.pem", f"{folder}/key.pem"),
        ("/etc/nginx/whatsapp-gateway-proxy.conf", str(FILES / "nginx-proxy.conf")),
    )
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\nevents {{}}\n"
        f"http {{ access_log off;\n{places}{site}\n}}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]


def caddy_command(folder: Path, port: int, upstream: int) -> list[str]:
    site = replaced(
        (FILES / "Caddyfile").read_text(),
        ("127.0.0.1:8000", f"127.0.0.1:{upstream}"),
        (
            "gateway.example.com {",
            f"https://localhost:{port} {{\n\tbind 127.0.0.1\n\ttls {folder}/cert.pem {folder}/key.pem",
        ),
    )
    head = "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n"
    (folder / "Caddyfile").write_text(head + site)
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


COMMANDS: dict[str, Callable[[Path, int, int], list[str]]] = {"nginx": nginx_command, "caddy": caddy_command}


LEFT_ON = {
    "nginx": ("proxy_pass http://whatsapp_gateway/;", "proxy_pass http://whatsapp_gateway;"),
    "caddy": ("handle_path /whatsapp/*", "handle /whatsapp/*"),
}
"""The change that docs/proxy.md names for a proxy that leaves the path on."""


def leave_path_on(kind: str, folder: Path) -> None:
    (file,) = (path for name in ("nginx.conf", "Caddyfile") if (path := folder / name).exists())
    file.write_text(replaced(file.read_text(), LEFT_ON[kind]))


@contextlib.asynccontextmanager
async def proxy(
    kind: str, folder: Path, upstream: int, *, port: int = 0, takes_path_off: bool = True
) -> AsyncIterator[int]:
    """The proxy's port, once it listens."""
    port = port or free_port()
    make_certificate(folder)
    command = COMMANDS[kind](folder, port, upstream)
    if not takes_path_off:
        leave_path_on(kind, folder)
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
    process = await asyncio.create_subprocess_exec(
        *command, env=env, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    said: list[bytes] = []

    async def listen_to_it() -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            said.append(line)

    listening = asyncio.create_task(listen_to_it())
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                assert process.returncode is None, b"".join(said).decode()
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.02)  # it tells nobody when it listens
                else:
                    writer.close()
                    break
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        await listening


@pytest_asyncio.fixture(params=sorted(COMMANDS))
async def proxied(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> AsyncIterator[Proxied]:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed: apt-get install {request.param}")
    folder = tmp_path / "proxy"
    folder.mkdir()
    settings = settings_for(
        database,
        tmp_path,
        trusted_proxies=("127.0.0.1",),
        public_url="https://localhost",
        address_strangers=5,
    )
    async with (
        running(settings, timings=DEFAULT_TIMINGS) as gateway,
        proxy(request.param, folder, int(gateway.url.rsplit(":", 1)[1])) as port,
    ):
        tls = ssl.create_default_context(cafile=str(folder / "cert.pem"))
        yield Proxied(request.param, gateway, port, tls)


@pytest_asyncio.fixture
async def http(proxied: Proxied) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=proxied.tls)) as session:
        yield session


async def make_session(proxied: Proxied) -> tuple[int, str]:
    body = {"name": "Shop", "phone_number": "+4915112345678"}
    made = await proxied.gateway.data("POST", "/api/whatsapp-sessions", body)
    path = f"/api/whatsapp-sessions/{made['id']}?reveal=secrets"
    return int(made["id"]), (await proxied.gateway.data("GET", path))["webhook_secret"]


def message(size: int) -> dict[str, Any]:
    key = {"id": "VIA-PROXY", "fromMe": False, "remoteJid": "4915155555555@s.whatsapp.net"}
    return {
        "event": "messages.upsert",
        "data": {"messages": {"key": key, "message": {"conversation": "x" * size}}},
    }


@pytest.mark.parametrize("prefix", ["", "/whatsapp"])
async def test_requests_sockets_and_webhooks_come_through_a_proxy(
    proxied: Proxied, http: aiohttp.ClientSession, prefix: str
) -> None:
    bearer = {"Authorization": f"Bearer {proxied.gateway.token()}"}
    async with http.get(f"{proxied.url}{prefix}/api/me", headers=bearer) as reply:
        assert reply.status == 200

    session_id, secret = await make_session(proxied)
    # As our page, from its own origin: the proxy must have passed on the host.
    own = {**bearer, "Origin": proxied.url}
    address = f"wss://localhost:{proxied.port}{prefix}/ws"
    async with connect(address, ssl=proxied.tls, additional_headers=own) as socket:
        assert json.loads(await socket.recv())["type"] == "welcome"
        await socket.send(json.dumps({"type": "subscribe", "ref": "1", "topic": f"inbox:{session_id}"}))
        assert json.loads(await socket.recv())["type"] == "subscribed"

        hook = f"{proxied.url}{prefix}/api/whatsapp/webhook/{session_id}"
        async with http.post(hook, json=message(100), headers={"X-Webhook-Signature": secret}) as reply:
            assert (reply.status, await reply.json()) == (200, {"received": True})
        async with asyncio.timeout(PATIENCE_S):
            while (frame := json.loads(await socket.recv()))["type"] != "event":
                pass
        assert frame["event"] == "message.created"


async def test_a_webhook_of_almost_8_mib_comes_through_a_proxy(
    proxied: Proxied, http: aiohttp.ClientSession
) -> None:
    session_id, secret = await make_session(proxied)
    hook = f"{proxied.url}/api/whatsapp/webhook/{session_id}"
    big = {"event": "something.large", "data": {"text": "x" * (8 * MIB - 1000)}}

    body = io.BytesIO(json.dumps(big).encode())
    async with http.post(hook, data=body, headers={"X-Webhook-Signature": secret}) as reply:
        assert reply.status == 200


async def test_clients_behind_a_proxy_are_told_apart_by_their_own_addresses(
    proxied: Proxied, http: aiohttp.ClientSession
) -> None:
    seen: list[tuple[str, str]] = []
    app = proxied.gateway.gateway.app
    inner = app.router.default

    async def remembering(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["client"][0], scope["scheme"]))
        await inner(scope, receive, send)

    app.router.default = remembering
    # The client writes hops of its own; what the proxy adds stands right of them.
    async with http.get(f"{proxied.url}/nothing", headers={"X-Forwarded-For": "203.0.113.7"}) as reply:
        assert reply.status == 404

    # The client is on this machine, as its proxy is, and so the hop before it counts; Caddy has dropped that one.
    assert seen == [("203.0.113.7" if proxied.kind == "nginx" else "127.0.0.1", "https")]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed: apt-get install curl")
async def test_a_browser_speaks_http_2_to_the_proxy(proxied: Proxied, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        "curl", "-sS", "--http2", "--cacert", str(tmp_path / "proxy" / "cert.pem"), "-o", "/dev/null",
        "-w", "%{http_version} %{http_code}", f"{proxied.url}/healthz", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate()

    assert said.decode() == "2 200"
