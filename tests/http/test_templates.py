"""Texts and files that a shop sends again and again: admins manage them, agents choose from them."""

from typing import Any

from gateway.domain.access import Role
from tests.http.media_parts import linked_number
from tests.http.support import Shop
from tests.http.test_media_uploads import get, upload
from tests.little_files import LITTLE

TEMPLATES = "/api/templates"


async def add(
    shop: Shop, shortcut: str = "hours", token: str | None = None, **fields: Any
) -> tuple[int, Any]:
    wish = {"shortcut": shortcut, "text": "We are open until 7.", **fields}
    return await shop.gateway.call("POST", TEMPLATES, wish, token=token)


async def test_admins_manage_templates_and_agents_read_those_of_their_numbers(shop: Shop) -> None:
    await shop.add_session(14, name="Storehouse")
    await add(shop)
    await add(shop, "Bank", session_id=12, text="Hello {name}")
    await add(shop, "bank", session_id=14)
    agent, viewer = shop.gateway.token(Role.AGENT, {12}), shop.gateway.token(Role.VIEWER)
    limited = shop.gateway.token(Role.ADMIN, {12})

    async def seen(query: str = "", token: str = agent) -> list[tuple[str, Any]]:
        found = await shop.gateway.data("GET", TEMPLATES + query, token=token)
        return [(one["shortcut"], one["session_id"]) for one in found]

    assert await seen() == [("Bank", 12), ("hours", None)]
    assert await seen("?session=14", shop.gateway.token()) == [("bank", 14), ("hours", None)]
    assert (await shop.gateway.call("GET", f"{TEMPLATES}?session=14", token=agent))[0] == 403
    assert (await shop.gateway.call("GET", TEMPLATES, token=viewer))[0] == 403
    for token, session in ((agent, 12), (limited, None), (limited, 14)):
        assert (await add(shop, "more", token=token, session_id=session))[0] == 403
    status, said = await add(shop, "more", token=limited, session_id=12)
    assert status == 201

    one = f"{TEMPLATES}/{said['data']['id']}"
    changed = await shop.gateway.data("PUT", one, {"text": "Changed"}, token=limited)
    assert (changed["shortcut"], changed["text"], changed["session_id"]) == ("more", "Changed", 12)
    assert (await shop.gateway.call("PUT", one, {"session_id": None}, token=limited))[0] == 403
    assert (await shop.gateway.call("DELETE", one, token=limited))[0] == 200
    assert (await shop.gateway.call("DELETE", one))[0] == 404


async def test_bad_templates_get_one_sentence_each(shop: Shop) -> None:
    await add(shop)
    wrong: list[tuple[dict[str, Any], int]] = [
        ({"shortcut": "HOURS"}, 409), ({"shortcut": "two words"}, 422), ({"shortcut": "a/b"}, 422),
        ({"shortcut": ""}, 422),
        ({"shortcut": "x", "text": " "}, 422), ({"shortcut": "x", "text": "y" * 4097}, 422),
        ({"shortcut": "x", "media": "not one"}, 422), ({"shortcut": "x", "session_id": "many"}, 422),
        ({"shortcut": "x", "session_id": 99}, 404),
    ]  # fmt: skip
    for fields, expected in wrong:
        status, said = await add(shop, **fields)
        assert status == expected, said
        assert said["error"].endswith(".")
    assert len(await shop.gateway.data("GET", TEMPLATES)) == 1


async def test_a_file_of_a_template_is_sent_again_and_again_and_stays_until_the_template_goes(
    shop: Shop,
) -> None:
    post = await linked_number(shop)
    little = LITTLE["a.png"]
    _, file = await upload(shop, little.content, query="?name=menu.png")
    status, said = await add(shop, "menu", text="", media=file["data"]["id"])
    assert status == 201, said
    template = said["data"]
    assert (template["media"]["kind"], template["media"]["name"]) == ("image", "menu.png")
    assert (await add(shop, "again", media=file["data"]["id"]))[0] == 422  # it is the other's by now

    agent = shop.gateway.token(Role.AGENT)
    for number in range(2):
        taken = await shop.gateway.data("POST", f"{TEMPLATES}/{template['id']}/media", token=agent)
        assert (await get(shop, f"/api/media/{taken['id']}", agent))[1] == little.content
        path = f"/api/conversations/15550002222/messages?session={post.session_id}"
        sent = await shop.gateway.data(
            "POST", path, {"client_id": f"c{number}", "media": taken["id"]}, token=agent
        )
        assert sent["media"]["kind"] == "image"

    await shop.db.execute(
        "UPDATE gateway.media SET made_at = now() - interval '2 days', settled_at = made_at"
    )
    await shop.db.execute(
        "SELECT gateway.drop_orphaned_media_v1('00000000-0000-0000-0000-000000000000', 100)"
    )
    await shop.db.execute("SELECT gateway.drop_unused_media_v1(100)")
    assert await shop.db.fetchval("SELECT count(*) FROM gateway.media WHERE tbl = 'templates'") == 1
    await shop.gateway.data(
        "PUT", f"{TEMPLATES}/{template['id']}", {"text": "Our menu", "media": template["media"]["id"]}
    )
    assert await shop.db.fetchval("SELECT count(*) FROM gateway.media WHERE tbl = 'templates'") == 1

    await shop.gateway.data("DELETE", f"{TEMPLATES}/{template['id']}")
    assert await shop.db.fetchval("SELECT count(*) FROM gateway.media WHERE tbl = 'templates'") == 0
