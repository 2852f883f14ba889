"""Pages and apps by their `Origin`: the operator names them, nobody else gets in, and a broken one is refused."""

from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.launcher.running import Running, running
from tests.launcher.settings import settings_for
from tests.realtime.phoenix import phoenix
from tests.realtime.test_admission import knocking

NAMED = "capacitor://localhost,ionic://shop,file://,https://shop.example"
SENT = ["capacitor://localhost", "ionic://shop", "file://", "null", "https://shop.example"]
FOREIGN = [
    "capacitor://elsewhere", "capacitor://localhost.evil.example", "ionic://localhost", "http://shop.example",
    "http://[", "http://[::1", "https://]", "http://a b", "://", "null, null", "file", "http://\u00e4", "%",
    "https://shop.example@evil.example", "https://shop.example/../", "data:text/html,x",
]  # fmt: skip


def cookie_name(gateway: Running) -> str:
    """The cookie's name for a browser that comes by http."""
    return gateway.gateway.access.cookie.name("http")


async def native(gateway: Running, origin: str) -> int | None:
    """The code with which /ws closes; None if the page is let in."""
    async with knocking(gateway, Cookie=f"{cookie_name(gateway)}={gateway.token()}", Origin=origin) as socket:
        try:
            assert (await socket.receive())["type"] == "welcome"
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006
    return None


async def supabase(gateway: Running, origin: str) -> int | None:
    """The status with which the handshake is refused; None if the page is let in."""
    try:
        async with phoenix(gateway, additional_headers={"Origin": origin}):
            return None
    except InvalidStatus as refused:
        return int(refused.response.status_code)


async def rest(gateway: Running, origin: str) -> tuple[int, str | None]:
    """Status of a request with the browser's cookie, and the origin that may read the answer."""
    headers = {"Cookie": f"{cookie_name(gateway)}={gateway.token()}", "Origin": origin}
    async with gateway.http.get(gateway.url + "/api/me", headers=headers) as reply:
        return reply.status, reply.headers.get("Access-Control-Allow-Origin")


async def test_apps_and_pages_on_a_disk_get_in_once_they_are_named(database: str, tmp_path: Path) -> None:
    async with running(settings_for(database, tmp_path, allowed_origins=NAMED)) as gateway:
        for origin in SENT:
            assert await native(gateway, origin) is None
            assert await supabase(gateway, origin) is None
            assert await rest(gateway, origin) == (200, origin)
        for origin in FOREIGN:
            assert await native(gateway, origin) == 4503, origin
            assert await supabase(gateway, origin) == 403, origin
            assert await rest(gateway, origin) == (403, None), origin


async def test_none_of_them_gets_in_unnamed(gateway: Running) -> None:
    for origin in [*SENT, *FOREIGN]:
        assert await native(gateway, origin) == 4503, origin
        assert await supabase(gateway, origin) == 403, origin
        assert await rest(gateway, origin) == (403, None), origin


async def test_an_app_is_no_page_of_ours_though_its_name_is_our_host(gateway: Running) -> None:
    own = gateway.url.removeprefix("http://")

    assert await rest(gateway, f"http://{own}") == (200, None)
    assert await rest(gateway, f"https://{own}") == (200, None)
    assert await rest(gateway, f"capacitor://{own}") == (403, None)


@pytest.mark.parametrize(
    "public_url", ["https://gateway.example.com", "https://Gateway.example.com/whatsapp"]
)
async def test_the_origin_of_the_public_address_is_ours_whatever_host_a_proxy_hands_on(
    database: str, tmp_path: Path, public_url: str
) -> None:
    async with running(settings_for(database, tmp_path, public_url=public_url)) as gateway:
        assert await native(gateway, "https://gateway.example.com") is None
        assert await supabase(gateway, "https://gateway.example.com") is None
        assert (await rest(gateway, "https://gateway.example.com"))[0] == 200
        assert (await rest(gateway, "http://gateway.example.com"))[0] == 403
