"""One Postgres, some gateways in front of it, and a bad network between everything and everything."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.browser import Browser
from tests.faults.proxy import Proxy
from tests.faults.server import Server
from tests.launcher.child import READY_FRAMES, Child
from tests.launcher.running import mint
from tests.launcher.settings import SECRET
from tests.realtime.live import until

APPLICATIONS = ("whatsapp-gateway", "whatsapp-gateway-feed", "whatsapp-gateway-listener")


@dataclass(frozen=True, slots=True)
class House:
    """One gateway and the two wires it hangs on."""

    child: Child
    to_postgres: Proxy
    to_clients: Proxy

    @property
    def url(self) -> str:
        """Where its clients find it: behind the proxy."""
        return f"http://127.0.0.1:{self.to_clients.port}"


@dataclass(frozen=True, slots=True)
class Town:
    server: Server
    database: str
    houses: list[House]

    @property
    def dsn(self) -> str:
        """The database itself, without any proxy."""
        return self.server.dsn_of(self.database)

    @property
    def wires(self) -> list[Proxy]:
        return [wire for house in self.houses for wire in (house.to_postgres, house.to_clients)]


def _address(child: Child) -> tuple[str, int]:
    return child.address


@contextlib.asynccontextmanager
async def town(
    server: Server,
    folder: Path,
    *,
    ways: tuple[str, ...] = (READY_FRAMES,),
    constants: Mapping[str, Any] | None = None,
    timings: Mapping[str, float] | None = None,
    dice: random.Random | None = None,
    starts_second: bool = True,
    client_buffer: int | None = None,
    **settings: Any,
) -> AsyncIterator[Town]:
    """A fresh database and one gateway per way, all up."""
    async with contextlib.AsyncExitStack() as stack:
        name = await stack.enter_async_context(server.database())
        houses = []
        settings.setdefault("media_url", (folder / f"media-{name}").absolute().as_uri())  # theirs together
        for number, way in enumerate(ways):
            to_postgres = await stack.enter_async_context(Proxy(lambda: server.socket, dice).running())
            child = Child(
                server.through(to_postgres.port, name), folder / f"gateway-{number}",
                way=way, constants=constants, timings=timings, send_buffer=client_buffer, **settings,
            )  # fmt: skip
            stack.push_async_callback(child.stop)
            if starts_second or not number:
                await child.start()
            # The port is known once it has started, and stays the same in every life.
            behind = Proxy(partial(_address, child), dice, client_buffer)
            to_clients = await stack.enter_async_context(behind.running())
            houses.append(House(child, to_postgres, to_clients))
        yield Town(server, name, houses)


@contextlib.asynccontextmanager
async def following(place: Town, house: int = 0, **more: Any) -> AsyncIterator[Browser]:
    """A browser that has subscribed, and lives as long as the block."""
    named: dict[str, Any] = {"after": {}, **more}
    browser = Browser("browser", lambda: place.houses[house].url, mint(SECRET), **named)
    life = asyncio.create_task(browser.run(), name="browser")
    try:
        await until(lambda: browser.is_subscribed, "the browser has subscribed")
        yield browser
    finally:
        life.cancel()
        await asyncio.wait([life])
