"""Where deliveries go, whatever a name says from one moment to the next."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.abc import ResolveResult

from gateway.domain.networks import network_of
from gateway.runtime.target_client import TargetClient

LISTED = [network_of("127.0.0.1")]


def found(*hosts: str, port: int) -> list[ResolveResult]:
    return [
        ResolveResult(
            hostname="shop.example", host=host, port=port, proto=0, flags=0,
            family=socket.AF_INET6 if ":" in host else socket.AF_INET,
        )
        for host in hosts
    ]  # fmt: skip


class Inside:
    """A server on loopback, which counts who comes."""

    def __init__(self) -> None:
        self.came: list[str] = []
        self.port = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.came.append(request.path)
        if request.path == "/away":
            raise web.HTTPFound(f"http://127.0.0.1:{self.port}/secret")
        return web.Response()


@pytest_asyncio.fixture
async def inside() -> AsyncIterator[Inside]:
    one = Inside()
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", one.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    one.port = runner.addresses[0][1]
    yield one
    await runner.cleanup()


async def post(client: TargetClient, url: str) -> Any:
    await client.open()
    try:
        return await client.post(url, b"{}", {})
    finally:
        await client.close()


async def test_of_a_name_with_two_addresses_only_the_listed_one_is_used(inside: Inside) -> None:
    client = TargetClient(
        LISTED, look=lambda host, port, family: found("10.0.0.9", "::1", "127.0.0.1", port=port)
    )
    answer = await post(client, f"http://shop.example:{inside.port}/hook")
    assert (answer.status, inside.came) == (200, ["/hook"])


async def test_a_name_that_leads_inside_later_is_refused_later(inside: Inside) -> None:
    answers: Iterator[str] = iter(["127.0.0.1", "127.0.0.2"])
    client = TargetClient(LISTED, look=lambda host, port, family: found(next(answers), port=port))
    await client.open()
    url = f"http://shop.example:{inside.port}/hook"
    assert (await client.post(url, b"{}", {"Connection": "close"})).status == 200
    refused = await client.post(url, b"{}", {})
    await client.close()
    assert refused.status is None
    assert "GATEWAY_TARGET_NETWORKS" in refused.reason
    assert inside.came == ["/hook"]


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "::1", "10.0.0.1", "169.254.169.254"])
async def test_a_name_that_is_only_inside_is_refused_without_a_list(inside: Inside, address: str) -> None:
    client = TargetClient([], look=lambda host, port, family: found(address, port=port))
    answer = await post(client, f"https://shop.example:{inside.port}/hook")
    assert answer.status is None
    assert inside.came == []


async def test_a_redirect_is_an_answer_and_leads_nowhere(inside: Inside) -> None:
    answer = await post(TargetClient(LISTED), f"http://127.0.0.1:{inside.port}/away")
    assert (answer.status, inside.came) == (302, ["/away"])


async def test_plain_http_reaches_listed_networks_only(inside: Inside) -> None:
    client = TargetClient(LISTED, look=lambda host, port, family: found("8.8.8.8", port=port))
    answer = await post(client, "http://shop.example/hook")
    assert answer.status is None
    assert "shop.example" in answer.reason


async def test_a_name_whose_server_does_not_answer_holds_up_no_other(inside: Inside) -> None:
    stuck = threading.Event()

    def look(host: str, port: int, family: int) -> list[ResolveResult]:
        if host == "slow.example":
            stuck.wait(20)
        return found("127.0.0.1", port=port)

    client = TargetClient(LISTED, answer_s=1.0, look=look)
    await client.open()
    try:
        slow = [
            asyncio.create_task(client.post(f"http://slow.example:{inside.port}/slow", b"{}", {}))
            for _ in range(64)
        ]
        assert (await client.post(f"http://shop.example:{inside.port}/hook", b"{}", {})).status == 200
        assert {answer.status for answer in await asyncio.gather(*slow)} == {None}
    finally:
        stuck.set()
        await client.close()
