"""A sender writes the address of a file; it is fetched from the listed hosts only, and never from a private network."""

import asyncio
import socket

import pytest
from aiohttp.abc import ResolveResult

from gateway.domain.networks import is_public
from gateway.services.media.ports import NotThere
from gateway.wasender.calls import BACKGROUND
from gateway.wasender.client import WasenderClient
from gateway.wasender.media_host import MediaHost
from gateway.wasender.media_hosts import MediaHosts, PublicResolver

REAL = MediaHosts(("*.whatsapp.net", "files.shop.example"), "https://www.wasenderapi.com/api")
LOCAL = MediaHosts(("*.whatsapp.net",), "http://127.0.0.1:9000/api")

ALLOWED = [
    "https://mmg.whatsapp.net/v/t62/a.enc?ccb=1",
    "https://media-lax3-1.cdn.whatsapp.net/a",
    "https://MMG.WhatsApp.NET./a",
    "https://files.shop.example/a",
    "https://mmg.whatsapp.net:443/a",
]
REFUSED = [
    "http://mmg.whatsapp.net/a", "https://whatsapp.net/a", "https://evilwhatsapp.net/a", "ftp://mmg.whatsapp.net/a",
    "https://mmg.whatsapp.net.evil.example/a", "https://mmg.whatsapp.net@evil.example/a", "https://127.0.0.1/a",
    "https://user:pw@mmg.whatsapp.net/a", "https://mmg.whatsapp.net:8443/a", "file:///etc/passwd", "https://[::1]/a",
    "https://169.254.169.254/latest/meta-data", "https://mmg.whatsapp.net\\@evil.example/a", "//mmg.whatsapp.net/a", "",
    "https://evil.example/#.whatsapp.net", "https://evil.example/?x=.whatsapp.net", "https://mmg.whatsapp.net /a",
    "http://127.0.0.1:9000/simulator/files/a", "https://www.wasenderapi.com/api/decrypted-media/1", "https://[/a",
]  # fmt: skip


@pytest.mark.parametrize("url", ALLOWED)
def test_listed_hosts_are_fetched_from(url: str) -> None:
    assert REAL.allows(url)


@pytest.mark.parametrize("url", REFUSED)
def test_nothing_else_is_fetched_from(url: str) -> None:
    assert not REAL.allows(url)


def test_upstreams_copies_may_lie_at_upstream() -> None:
    assert REAL.allows_decrypted("https://www.wasenderapi.com/api/decrypted-media/1")
    assert REAL.allows_decrypted("https://wasenderapi.com/media/a.jpg")
    assert not REAL.allows_decrypted("http://www.wasenderapi.com/api/decrypted-media/1")
    assert not REAL.allows_decrypted("https://evil.example/a")
    assert LOCAL.allows_decrypted("http://127.0.0.1:9000/api/decrypted-media/1")
    assert not LOCAL.allows_decrypted("http://127.0.0.1:9001/api/decrypted-media/1")


def test_where_upstream_is_this_machine_its_files_are_too_and_no_other_port() -> None:
    assert LOCAL.allows("http://127.0.0.1:9000/simulator/files/a")
    assert not LOCAL.allows("http://127.0.0.1:9001/simulator/files/a")
    assert not LOCAL.allows("http://localhost:9000/simulator/files/a")


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("157.240.1.1", True), ("2a03:2880::1", True), ("10.0.0.1", False), ("127.0.0.1", False),
        ("169.254.169.254", False), ("0.0.0.0", False), ("::1", False), ("fe80::1%eth0", False),
        ("::ffff:10.0.0.1", False), ("fd00::1", False), ("224.0.0.1", False), ("100.64.0.1", False),
        ("nonsense", False),
    ],
)  # fmt: skip
def test_private_addresses_are_told_from_those_of_the_internet(address: str, public: bool) -> None:
    assert is_public(address) is public


async def test_a_name_that_leads_into_a_private_network_is_not_followed() -> None:
    resolver = PublicResolver()
    with pytest.raises(OSError, match="no public address"):
        await resolver.resolve("localhost", 443, socket.AF_INET)
    trusted: list[ResolveResult] = await PublicResolver(("localhost",)).resolve(
        "localhost", 443, socket.AF_INET
    )
    assert trusted


async def test_an_address_elsewhere_is_answered_without_a_connection() -> None:
    async def token(_: bool) -> str:
        return "1|account"

    async with WasenderClient("http://127.0.0.1:9/api", token) as client:
        host = MediaHost(REAL, client.with_retry_policy(BACKGROUND))
        await host.open()
        try:
            with pytest.raises(NotThere, match="GATEWAY_MEDIA_HOSTS"):
                async with asyncio.timeout(5), host.read("http://169.254.169.254/latest", 1000):
                    pass
        finally:
            await host.close()
