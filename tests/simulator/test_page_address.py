"""The simulated phone has one address, with and without a slash at its end, in the real gateway and alone."""

from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.launcher.running import Running
from tests.simulator.support import Served

ADDRESSES = ["/simulator", "/simulator/", "/simulator?session=7&q=a%2Fb", "/simulator/?session=7&q=a%2Fb"]


async def get(url: str, **headers: str) -> tuple[int, str, str | None]:
    """Status, text and `Location` of a GET that follows no redirect."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(url, allow_redirects=False, headers=headers) as reply,
    ):
        return reply.status, await reply.text(), reply.headers.get("Location")


@pytest.mark.parametrize("address", ADDRESSES)
async def test_beside_a_gateway_both_addresses_are_the_page(gateway: Running, address: str) -> None:
    status, text, location = await get(gateway.url + address)

    assert (status, location) == (200, None)
    assert "phone.js" in text


@pytest.mark.parametrize("address", ADDRESSES)
async def test_alone_both_addresses_are_the_page(served: Served, address: str) -> None:
    status, text, location = await get(served.base + address, Host="elsewhere.example")

    assert (status, location) == (200, None)
    assert "phone.js" in text


async def test_what_only_begins_like_the_page_is_no_page(gateway: Running, served: Served) -> None:
    for base in (gateway.url, served.base):
        assert urlsplit(base).path == ""
        for address in ("/simulatorx", "/simulator/x", "/simulator//", "/simulator/static"):
            status, text, location = await get(base + address)
            assert (address, status, location) == (address, 404, None)
            assert "phone.js" not in text
        async with aiohttp.ClientSession() as http, http.post(base + "/simulator") as reply:
            assert reply.status == 405


async def test_the_files_of_the_page_are_found_from_both_addresses(gateway: Running) -> None:
    _, text, _ = await get(gateway.url + "/simulator")

    for name in ("phone.js", "phone.css"):
        assert f'"/simulator/static/{name}"' in text
        assert (await get(gateway.url + f"/simulator/static/{name}"))[0] == 200
