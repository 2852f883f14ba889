"""The JavaScript client as other sites load it."""

from pathlib import Path

import pytest

from tests.launcher.running import Running, running
from tests.launcher.settings import settings_for

SHOP = "https://shop.example"
MODULES = [
    "client.js",
    "client/connection.js",
    "client/subscription.js",
    "client/positions.js",
    "client/backoff.js",
    "client/tokens.js",
    "client/environment.js",
]


async def test_an_allowed_site_may_import_the_client_and_all_it_is_made_of(
    database: str, tmp_path: Path
) -> None:
    async with running(settings_for(database, tmp_path, allowed_origins=SHOP)) as gateway:
        for name in MODULES:
            headers = await gateway.headers(f"/ui/{name}", Origin=SHOP)

            assert headers["Access-Control-Allow-Origin"] == SHOP
            assert headers["Content-Type"].startswith("text/javascript")
            assert "Origin" in headers["Vary"].split(", ")


@pytest.mark.parametrize("origin", [SHOP, "null"])
async def test_nobody_else_may(gateway: Running, origin: str) -> None:
    assert "Access-Control-Allow-Origin" not in await gateway.headers("/ui/client.js", Origin=origin)


async def test_the_types_are_text_to_be_read(gateway: Running) -> None:
    headers = await gateway.headers("/ui/client.d.ts")

    assert headers["Content-Type"] == "text/plain; charset=utf-8"
