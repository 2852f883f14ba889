"""WasenderAPI's own npm SDK, unmodified, with the gateway as its base URL and a gateway JWT as its token."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from gateway.domain.access import Role
from tests.clients.conftest import Sdk, SdkError, wasenderapi_sdk
from tests.launcher.running import Running, Socket
from tests.pictures import decode_svg_data_url

# Node takes the first for `import "wasenderapi"`; the second is the one that bundlers take.
BUILDS = ["wasenderapi", "wasenderapi/dist/index.js"]
NEW = {
    "name": "Shop",
    "phone_number": "+4915112345678",
    "account_protection": True,
    "log_messages": True,
}
FIELDS = {
    "id",
    "name",
    "phone_number",
    "status",
    "account_protection",
    "log_messages",
    "webhook_url",
    "webhook_enabled",
    "webhook_events",
    "created_at",
    "updated_at",
}
"""What the SDK's types promise of a session."""


@pytest_asyncio.fixture(params=BUILDS, ids=["node", "bundler"])
async def sdk(request: pytest.FixtureRequest, gateway: Running) -> AsyncIterator[Sdk]:
    async with wasenderapi_sdk(request.param, f"{gateway.url}/api", gateway.token()) as started:
        yield started


async def watch(socket: Socket, session_id: int) -> None:
    await socket.subscribe(f"session:{session_id}")


async def scan(gateway: Running, session_id: int) -> None:
    status, reply = await gateway.call("POST", f"/_simulator/sessions/{session_id}/scan")
    assert status == 200, reply


async def upstream_session(gateway: Running, session_id: int) -> tuple[int, Any]:
    simulator = gateway.gateway.upstream.simulator
    assert simulator is not None
    path = f"/simulator/api/whatsapp-sessions/{session_id}"
    return await gateway.call("GET", path, token=simulator.account_token)


async def test_the_sdk_creates_reads_changes_and_deletes_a_session(gateway: Running, sdk: Sdk) -> None:
    assert await sdk.data("getAllWhatsAppSessions") == []

    made = await sdk.data("createWhatsAppSession", NEW)
    assert made.keys() >= FIELDS
    assert made.items() >= (NEW | {"status": "disconnected"}).items()
    number = made["id"]
    assert [row["id"] for row in await sdk.data("getAllWhatsAppSessions")] == [number]
    assert (await sdk.data("getWhatsAppSessionDetails", number))["name"] == "Shop"

    changed = await sdk.data("updateWhatsAppSession", number, {"name": "Shop North"})
    assert (changed["id"], changed["name"]) == (number, "Shop North")
    assert (await upstream_session(gateway, number))[1]["data"]["name"] == "Shop North"

    assert await sdk.call("deleteWhatsAppSession", number) == {"success": True, "data": None}
    assert await sdk.data("getAllWhatsAppSessions") == []
    assert (await upstream_session(gateway, number))[0] == 404


async def test_the_sdk_links_a_phone_by_the_code_it_gets_and_lets_it_go(gateway: Running, sdk: Sdk) -> None:
    number = (await sdk.data("createWhatsAppSession", NEW))["id"]
    async with gateway.socket() as socket:
        await watch(socket, number)
        begun = await sdk.data("connectWhatsAppSession", number)
        assert begun["status"] in ("connecting", "need_scan")
        await socket.state("session.qr")

        code = await sdk.data("getWhatsAppSessionQRCode", number)
        assert code["qrCode"] == (await upstream_code(gateway, number))
        assert decode_svg_data_url(code["qr_code"]) == code["qrCode"]

        await scan(gateway, number)
        assert (await socket.state("session.link_ended"))["data"]["reason"] == "connected"
    assert (await sdk.data("getWhatsAppSessionDetails", number))["status"] == "connected"

    assert (await sdk.data("disconnectWhatsAppSession", number))["status"] == "disconnected"
    assert (await sdk.data("getWhatsAppSessionDetails", number))["status"] == "disconnected"
    assert (await upstream_session(gateway, number))[1]["data"]["status"] == "disconnected"


async def upstream_code(gateway: Running, session_id: int) -> str:
    simulator = gateway.gateway.upstream.simulator
    assert simulator is not None
    path = f"/simulator/api/whatsapp-sessions/{session_id}/qrcode"
    return str((await gateway.data("GET", path, token=simulator.account_token))["qrCode"])


async def test_a_second_connect_of_the_sdk_answers_with_the_code_that_is_shown(
    gateway: Running, sdk: Sdk
) -> None:
    number = (await sdk.data("createWhatsAppSession", NEW))["id"]
    async with gateway.socket() as socket:
        await watch(socket, number)
        await sdk.data("connectWhatsAppSession", number)
        shown = (await socket.state("session.qr"))["data"]["qrCode"]

    again = await sdk.data("connectWhatsAppSession", number, True)
    assert (again["status"], again["qrCode"]) == ("need_scan", shown)


async def test_a_new_key_made_through_the_sdk_stays_in_the_gateway(gateway: Running, sdk: Sdk) -> None:
    made = await sdk.data("createWhatsAppSession", NEW)
    before = (await upstream_session(gateway, made["id"]))[1]["data"]["api_key"]
    reply = await sdk.call("regenerateApiKey", made["id"])

    after = (await upstream_session(gateway, made["id"]))[1]["data"]["api_key"]
    revealed = await gateway.data("GET", f"/api/whatsapp-sessions/{made['id']}?reveal=secrets")
    assert (reply["success"], reply["api_key"]) == (True, "")
    assert after != before
    assert revealed["api_key"] == after


@pytest.mark.parametrize(
    ("call", "arguments", "status"),
    [
        ("getWhatsAppSessionDetails", [999_999], 404),
        ("connectWhatsAppSession", [999_999], 404),
        ("deleteWhatsAppSession", [999_999], 404),
        ("createWhatsAppSession", [{"name": "Shop"}], 422),
        ("updateWhatsAppSession", ["12x", {"name": "Shop"}], 422),
    ],
    ids=str,
)
async def test_a_refusal_reaches_the_sdk_as_its_own_error_with_our_status(
    sdk: Sdk, call: str, arguments: list[Any], status: int
) -> None:
    with pytest.raises(SdkError) as caught:
        await sdk.call(call, *arguments)

    assert caught.value.facts["name"] == "WasenderAPIError"
    assert caught.value.status == status


async def test_a_code_without_an_attempt_is_a_conflict_for_the_sdk(sdk: Sdk) -> None:
    number = (await sdk.data("createWhatsAppSession", NEW))["id"]
    with pytest.raises(SdkError) as caught:
        await sdk.call("getWhatsAppSessionQRCode", number)

    assert caught.value.status == 409


@pytest.mark.parametrize("build", BUILDS, ids=["node", "bundler"])
async def test_the_sdk_does_only_what_the_role_of_its_token_may(gateway: Running, build: str) -> None:
    session = await gateway.data("POST", "/api/whatsapp-sessions", NEW)
    async with wasenderapi_sdk(build, f"{gateway.url}/api/", gateway.token(Role.VIEWER)) as sdk:
        assert [row["id"] for row in await sdk.data("getAllWhatsAppSessions")] == [session["id"]]
        for call in ("connectWhatsAppSession", "getWhatsAppSessionQRCode", "deleteWhatsAppSession"):
            with pytest.raises(SdkError) as caught:
                await sdk.call(call, session["id"])
            assert caught.value.status == 403, call
    async with wasenderapi_sdk(build, f"{gateway.url}/api", "1|an-account-token-of-upstream") as sdk:
        with pytest.raises(SdkError) as caught:
            await sdk.call("getAllWhatsAppSessions")
        assert caught.value.status == 401
