"""What goes over the line, and what a broken line becomes: against real sockets on loopback."""

import asyncio
import contextlib
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.domain.errors import UpstreamFailed, UpstreamTimeout
from gateway.wasender.client import WasenderClient
from gateway.wasender.http_transport import MAX_REPLY_BYTES, Timeouts
from tests.unit.wasender.conftest import TOKEN, Tokens

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@contextlib.asynccontextmanager
async def served(handler: Handler, *, timeout_s: float = 5.0) -> AsyncIterator[WasenderClient]:
    async with (
        TestServer(app_of(handler)) as server,
        WasenderClient(str(server.make_url("/")), Tokens(), timeouts=Timeouts(timeout_s, 2)) as client,
    ):
        yield client


async def test_a_redirect_is_not_followed_and_the_token_stays_here() -> None:
    seen = list[str]()

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        seen.append(request.path)
        return web.json_response({"success": True})

    async with TestServer(app_of(elsewhere)) as other:

        async def redirect(_: web.Request) -> web.StreamResponse:
            return web.Response(status=307, headers={"Location": str(other.make_url("/api/auth-check"))})

        async with served(redirect) as client:
            with pytest.raises(UpstreamFailed, match="redirect"):
                await client.auth_check()

    assert seen == []


async def test_the_headers_upstream_needs_are_sent_and_cookies_are_not() -> None:
    seen = list[dict[str, str]]()

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(dict(request.headers))
        response = web.json_response({"success": True})
        response.set_cookie("laravel_session", "x")
        return response

    # By name, because cookies of a bare IP address are never kept.
    async with (
        TestServer(app_of(answer)) as server,
        WasenderClient(f"http://localhost:{server.port}", Tokens()) as client,
    ):
        await client.auth_check()
        await client.auth_check()

    assert [one["Accept"] for one in seen] == ["application/json"] * 2
    assert [one["Authorization"] for one in seen] == [f"Bearer {TOKEN}"] * 2
    assert not any("Cookie" in one for one in seen)


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port()}")

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"success": True})

    async with served(answer) as client:
        await client.auth_check()


async def test_no_answer_in_time_is_a_timeout_that_leaves_the_outcome_open() -> None:
    never = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    async with served(hang, timeout_s=0.05) as client, asyncio.timeout(2):
        with pytest.raises(UpstreamTimeout, match="in time") as failed:
            await client.send_message("key", {"to": "+1"})
        never.set()

    assert failed.value.details is None
    assert failed.value.status is None


async def test_a_body_that_stops_halfway_is_a_timeout() -> None:
    never = asyncio.Event()

    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"success":')
        await never.wait()
        return response

    async with served(half, timeout_s=0.1) as client:
        with pytest.raises(UpstreamTimeout, match="in time"):
            await client.auth_check()
        never.set()


@pytest.mark.parametrize(
    "written", [b"", b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"suc'], ids=["head", "body"]
)
async def test_a_reset_is_a_timeout_that_leaves_the_outcome_open(written: bytes) -> None:
    async def reset(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(written)
        request.transport.close()
        return web.Response()

    async with served(reset) as client:
        with pytest.raises(UpstreamTimeout, match="broke the connection") as failed:
            await client.send_message("key", {"to": "+1"})

    assert failed.value.details is None


async def test_a_refused_connection_says_that_nothing_was_sent() -> None:
    async with WasenderClient(f"http://127.0.0.1:{unused_port()}", Tokens()) as client:
        with pytest.raises(UpstreamTimeout, match="cannot be reached") as failed:
            await client.send_message("key", {"to": "+1"})

    assert failed.value.details == {"reason": "not_reached"}


async def test_a_server_that_speaks_no_http_is_a_failure() -> None:
    async def babble(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"hello, who is there?\r\n\r\n")
        request.transport.close()
        return web.Response()

    async with served(babble) as client:
        with pytest.raises(UpstreamFailed, match="not proper HTTP"):
            await client.auth_check()


async def test_a_certificate_that_nobody_vouches_for_ends_the_call_before_the_token_is_sent(
    tmp_path: Path,
) -> None:
    seen = list[str]()

    async def answer(request: web.Request) -> web.StreamResponse:
        seen.append(request.path)
        return web.json_response({"success": True})

    server = TestServer(app_of(answer), scheme="https")
    await server.start_server(ssl=self_signed(tmp_path))
    try:
        async with WasenderClient(str(server.make_url("/")), Tokens()) as client:
            with pytest.raises(UpstreamFailed, match="certificate") as failed:
                await client.auth_check()
    finally:
        await server.close()

    assert failed.value.details == {"reason": "not_reached"}
    assert seen == []


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "compressed"])
async def test_an_answer_without_end_is_not_read_to_its_end(packed: bool) -> None:
    body = b" " * (MAX_REPLY_BYTES + 1)

    async def flood(_: web.Request) -> web.StreamResponse:
        if packed:
            return web.Response(body=gzip.compress(body), headers={"Content-Encoding": "gzip"})
        return web.Response(body=body)

    async with served(flood) as client:
        with pytest.raises(UpstreamFailed, match="4 MiB"):
            await client.auth_check()


async def test_an_answer_that_cannot_be_unpacked_is_an_upstream_error() -> None:
    async def garbage(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"not gzip at all", headers={"Content-Encoding": "gzip"})

    async with served(garbage) as client:
        with pytest.raises((UpstreamFailed, UpstreamTimeout)):
            await client.auth_check()


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("Änn", "Änn"),
        ("\\u00c4nn", "Änn"),
        ("A\\u0000nn", "Ann"),
        ("Ann\\ud83d", "Ann\ufffd"),
        ("\\\\u0000", "\\u0000"),
    ],
)
async def test_text_that_postgres_refuses_is_mended_on_the_way_in(sent: str, read: str) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(text=f'{{"data": {{"id": 12, "name": "{sent}"}}}}')

    async with served(answer) as client:
        assert (await client.get_session(12)).name == read


async def test_a_slow_call_delays_no_other() -> None:
    release = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/1"):
            await release.wait()
        return web.json_response({"data": {"id": 2}})

    async with served(answer) as client, asyncio.timeout(5):
        slow = asyncio.create_task(client.get_session(1), name="slow")
        assert (await client.get_session(2)).id == 2
        assert not slow.done()
        release.set()
        await slow


async def test_a_cancelled_call_is_cancelled() -> None:
    arrived, never = asyncio.Event(), asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        arrived.set()
        await never.wait()
        return web.Response()

    async with served(hang) as client, asyncio.timeout(5):
        call = asyncio.create_task(client.auth_check(), name="call")
        await arrived.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        never.set()


async def test_a_client_that_is_not_open_is_a_mistake_of_ours() -> None:
    with pytest.raises(RuntimeError, match="not open"):
        await WasenderClient("https://upstream.test", Tokens()).auth_check()


def app_of(handler: Handler) -> web.Application:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    return app


def self_signed(folder: Path) -> ssl.SSLContext:
    """A server's TLS context with a fresh certificate for 127.0.0.1 that is in nobody's store."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1)
        )
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context
