"""Keys and tokens of Supabase's clients: who is let in, what a token covers, and what happens when it is over."""

import time
from pathlib import Path
from typing import Any

import asyncpg
import jwt
import orjson
import pytest
import pytest_asyncio
from websockets.exceptions import InvalidStatus

from gateway.domain.access import Role
from tests.launcher.running import Running, running
from tests.launcher.settings import settings_for
from tests.postgres.writers import insert_message
from tests.realtime.live import roster_of
from tests.realtime.phoenix import ALL_INCOMING, PATH, Phoenix, phoenix

PROJECT_SECRET = "secret-of-the-supabase-project-of-the-shop"
SHOP = "https://shop.example"
TOPIC = "realtime:shop"


@pytest_asyncio.fixture
async def project(database: str, tmp_path: Path) -> Any:
    """A gateway that takes tokens of a Supabase project, and pages of the shop."""
    settings = settings_for(
        database, tmp_path, supabase_jwt_secret=PROJECT_SECRET, allowed_origins=SHOP, max_connections=3
    )
    async with running(settings) as gateway:
        yield gateway


def minted(role: str | None, secret: str = PROJECT_SECRET, life_s: float = 600, **claims: Any) -> str:
    said = {
        "role": role,
        "exp": int(time.time() + life_s),
        "aud": "authenticated",
        "iss": "supabase",
        **claims,
    }
    return jwt.encode({key: value for key, value in said.items() if value is not None}, secret)


async def refusal(gateway: Running, key: str | None, **more: Any) -> tuple[int, dict[str, Any]]:
    """Status and body of a refused handshake."""
    query = "" if key is None else key
    with pytest.raises(InvalidStatus) as caught:
        async with phoenix(gateway, query, **more):
            pass
    return caught.value.response.status_code, orjson.loads(caught.value.response.body or b"{}")


async def test_handshakes_are_refused_in_the_originals_words(live: Running) -> None:
    assert await refusal(live, "") == (401, {"error": "API key is missing"})
    assert await refusal(live, "no-jwt") == (401, {"error": "The token provided is not a valid JWT"})
    assert await refusal(live, "sb_publishable_x") == (
        401,
        {"error": "The token provided is not a valid JWT"},
    )
    foreign = minted("authenticated", "a-secret-that-nobody-here-knows-at-all")
    assert await refusal(live, foreign) == (401, {"error": "Failed to validate JWT signature"})
    status, body = await refusal(live, live.token(life_s=-5))
    assert (status, body["error"][:17]) == (401, "Token has expired")
    assert (await refusal(live, live.token(), vsn="3.0.0"))[0] == 403
    assert not roster_of(live).open


async def test_a_project_token_needs_its_role_and_its_end(project: Running) -> None:
    needed = {"error": "Fields `role` and `exp` are required in JWT"}
    assert await refusal(project, minted(None)) == (401, needed)
    assert await refusal(project, minted("authenticated", exp=None)) == (401, needed)


async def test_pages_of_other_origins_are_refused_and_those_of_the_shop_are_not(project: Running) -> None:
    status, body = await refusal(project, project.token(), origin="https://elsewhere.example")
    assert status == 403
    assert "GATEWAY_ALLOWED_ORIGINS" in body["error"]
    async with phoenix(project, origin=SHOP) as client:
        assert (await client.join("shop", ALL_INCOMING))["status"] == "ok"


async def test_one_socket_too_many_is_refused_whatever_its_dialect(project: Running) -> None:
    async with project.socket(), phoenix(project), phoenix(project):
        assert (await refusal(project, project.token()))[0] == 429


async def test_the_key_may_come_as_a_header(shared_live: Running) -> None:
    async with phoenix(shared_live, "", additional_headers={"x-api-key": shared_live.token()}) as client:
        assert (await client.join("shop", ALL_INCOMING))["status"] == "ok"


@pytest.mark.parametrize(
    ("role", "metadata", "sees"),
    [
        ("authenticated", {}, []),
        ("authenticated", {"gateway_sessions": "*"}, [0, 7, 12]),
        ("service_role", {}, [0, 7, 12]),
        ("anon", {}, []),
        ("something_else", {}, []),
        ("authenticated", {"gateway_sessions": [7]}, [7]),
        ("anon", {"gateway_sessions": [12]}, [12]),
    ],
    ids=str,
)
async def test_what_a_project_role_may_read(
    project: Running, writer: asyncpg.Connection, role: str, metadata: dict[str, Any], sees: list[int]
) -> None:
    async with phoenix(project, minted(role, app_metadata=metadata)) as client:
        await client.join("shop", ALL_INCOMING)
        system = await client.system()
        for number in (0, 7, 12):
            await insert_message(writer, number or None)
        seen = [(await client.change())["record"]["wasender_session_id"] or 0 for _ in sees]

        assert await client.changes_until_now() == []
    assert sorted(seen) == sees
    assert system["status"] == ("ok" if sees else "error")


async def test_users_cannot_widen_their_rights_by_what_they_may_change_themselves(project: Running) -> None:
    token = minted("anon", user_metadata={"gateway_sessions": "*"}, sessions="*")
    async with phoenix(project, token) as client:
        await client.join("shop", ALL_INCOMING)

        assert (await client.system())["status"] == "error"


async def test_the_token_of_a_join_counts_more_than_the_key(
    project: Running, writer: asyncpg.Connection
) -> None:
    async with phoenix(project, minted("anon")) as client:
        await client.join(
            "shop", ALL_INCOMING, token=minted("authenticated", app_metadata={"gateway_sessions": "*"})
        )
        assert (await client.system())["status"] == "ok"
        await insert_message(writer, 12)

        assert (await client.change())["type"] == "INSERT"


@pytest.mark.parametrize("token", ["", "sb_publishable_x", "the key"])
async def test_a_join_without_a_token_of_its_own_is_the_keys(shared_live: Running, token: str) -> None:
    key = shared_live.token()
    async with phoenix(shared_live, key) as client:
        await client.join("shop", ALL_INCOMING, token=key if token == "the key" else token)

        assert (await client.system())["status"] == "ok"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (minted("authenticated", life_s=-12), "InvalidJWTToken: Token has expired "),
        ("no-jwt", "MalformedJWT: The token provided is not a valid JWT"),
        (minted("authenticated", "x" * 40), "JwtSignatureError: Failed to validate JWT signature"),
        (minted(None), "InvalidJWTToken: Fields `role` and `exp` are required in JWT"),
    ],
    ids=["expired", "malformed", "signature", "claims"],
)
async def test_a_join_with_a_bad_token_is_refused_and_may_be_tried_again(
    project: Running, token: str, reason: str
) -> None:
    async with phoenix(project) as client:
        reply = await client.join("shop", ALL_INCOMING, token=token)
        assert reply["status"] == "error"
        assert reply["response"]["reason"].startswith(reason)

        assert (await client.join("shop", ALL_INCOMING))["status"] == "ok"


async def renew(client: Phoenix, token: str | None) -> None:
    await client.send(TOPIC, "access_token", {"access_token": token}, join_ref="1")


async def test_a_new_token_changes_what_a_channel_is_told_without_a_word(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with phoenix(live, live.token(Role.VIEWER, sessions={7, 12})) as client:
        await client.join("shop", ALL_INCOMING, {"event": "*", "table": "whatsapp_sessions"})
        await client.system()
        for number in (7, 8, 12):
            await insert_message(writer, number, message_text="before")
        before = [(await client.change())["record"]["wasender_session_id"] for _ in range(2)]
        await renew(client, live.token(Role.VIEWER, sessions={8, 12}))
        assert await client.changes_until_now() == []
        for number in (7, 8, 12):
            await insert_message(writer, number, message_text="after")
        after = [(await client.change())["record"]["wasender_session_id"] for _ in range(2)]

        assert await client.changes_until_now() == []
    assert (before, after) == ([7, 12], [8, 12])
    assert "system" not in [said.event for said in client.said[2:]]


@pytest.mark.parametrize("token", [None, "", "sb_secret_x"])
async def test_a_renewal_that_says_nothing_changes_nothing(
    live: Running, writer: asyncpg.Connection, token: str | None
) -> None:
    async with phoenix(live) as client:
        await client.join("shop", ALL_INCOMING)
        await renew(client, token)
        await insert_message(writer, 12)

        assert (await client.change())["type"] == "INSERT"


async def test_whoever_logs_in_after_joining_hears_from_then_on(
    project: Running, writer: asyncpg.Connection
) -> None:
    # The newest client joins with the key alone, and sends the user's token at its first heartbeat.
    async with phoenix(project, minted("anon")) as client:
        await client.join("shop", ALL_INCOMING)
        assert "may read no session" in (await client.system())["message"]
        await renew(client, minted("authenticated", app_metadata={"gateway_sessions": "*"}))
        assert (await client.system())["message"] == "Subscribed to PostgreSQL"
        await insert_message(writer, 12)

        assert (await client.change())["type"] == "INSERT"


async def test_a_bad_renewal_ends_the_channel_so_that_its_client_joins_again(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with phoenix(live) as client:
        await client.join("shop", ALL_INCOMING)
        await client.system()
        await renew(client, live.token(life_s=-12))
        system, fault = await client.receive(), await client.receive()
        await insert_message(writer, 12)
        assert await client.changes_until_now() == []
        await client.join("shop", ALL_INCOMING, token=live.token())
        await insert_message(writer, 12)
        await client.change()

    assert (system.payload["extension"], system.payload["status"]) == ("system", "error")
    assert system.payload["message"].startswith("Token has expired ")
    assert (fault.event, fault.ref, fault.join_ref) == ("phx_error", "1", "1")
    assert "phx_close" not in [said.event for said in client.said]


async def test_a_token_that_expires_ends_its_channel_and_not_the_socket(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with phoenix(live) as client:
        await client.join("short", ALL_INCOMING, token=live.token(life_s=1.2))
        await client.join("long", ALL_INCOMING)
        system = await client.next("system", lambda said: said.payload["extension"] == "system")
        fault = await client.next("phx_error")
        await insert_message(writer, 12)
        change = await client.next("postgres_changes")

        assert await client.changes_until_now() == []
    assert system.topic == fault.topic == "realtime:short"
    assert change.topic == "realtime:long"
    assert "phx_close" not in [said.event for said in client.said]


async def test_a_key_that_is_over_lets_nobody_join_but_with_a_fresh_token(live: Running) -> None:
    async with phoenix(live, live.token(life_s=1.2)) as client:
        await client.join("shop", ALL_INCOMING)
        await client.next("phx_error")

        assert (await client.join("shop", ALL_INCOMING))["status"] == "error"
        assert (await client.join("shop", ALL_INCOMING, token=live.token()))["status"] == "ok"


async def test_rest_is_refused_with_a_sentence_that_the_shops_page_may_read(project: Running) -> None:
    headers = {"Origin": SHOP, "apikey": "x"}
    for method, path in (
        ("GET", "/rest/v1/customers?select=*"),
        ("POST", "/rest/v1/rpc/x"),
        ("GET", "/rest/v1"),
    ):
        async with project.http.request(method, project.url + path, headers=headers) as reply:
            body = await reply.json()
            assert reply.status == 404
            assert "Keep your Supabase or database client" in body["error"]
            assert reply.headers["Access-Control-Allow-Origin"] == SHOP
    asked = {
        "Origin": SHOP,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "accept-profile,apikey,authorization,prefer,x-client-info,x-retry-count",
    }
    async with project.http.options(project.url + "/rest/v1/customers", headers=asked) as reply:
        assert reply.status == 200
        assert reply.headers["Access-Control-Allow-Origin"] == SHOP
    status, body = await project.call("POST", "/realtime/v1/api/broadcast", {"messages": []})
    assert status == 404
    assert "Broadcast" in body["error"]
    assert PATH.startswith("/realtime/v1/")
