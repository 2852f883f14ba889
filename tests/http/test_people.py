"""People, their logins and passwords over REST; what an admin of some sessions may do with them; how one gets in."""

import asyncio
import json
import logging
from typing import Any

import pytest
from argon2 import Parameters, PasswordHasher, extract_parameters

from gateway.domain.access import Role
from gateway.services.auth.login import Login
from gateway.services.auth.passwords import Passwords
from tests.http.support import SESSIONS, Shop, eventually

PASSWORD = "correct horse"
PEOPLE = "/api/people"


async def add(
    shop: Shop, name: str = "Ann", role: str = "agent", token: str | None = None, **more: Any
) -> Any:
    fields = {"name": name, "role": role, "password": PASSWORD, **more}
    return await shop.gateway.data("POST", PEOPLE, fields, token=token)


async def post_login(shop: Shop, body: Any, **headers: str) -> tuple[int, Any, dict[str, str]]:
    async with shop.http.post(
        shop.gateway.url + "/login", json=body, headers=headers, allow_redirects=False
    ) as reply:
        text = await reply.text()
        return reply.status, json.loads(text) if text.startswith("{") else text, dict(reply.headers)


async def cookie(shop: Shop, name: str = "Ann", password: str = PASSWORD) -> dict[str, str]:
    status, reply, headers = await post_login(shop, {"name": name, "password": password})
    assert status == 200, reply
    return {"Cookie": headers["Set-Cookie"].partition(";")[0]}


async def as_browser(
    shop: Shop, headers: dict[str, str], method: str, path: str, body: Any = None
) -> tuple[int, Any]:
    return await shop.gateway.call(method, path, body, token="", headers=headers)


# ------------------------------------------------------------------------------------------ coming in


async def test_a_person_logs_in_by_name_and_password_whatever_the_case_of_the_name(shop: Shop) -> None:
    person = await add(shop, "Änne", sessions=[12])
    status, me = await as_browser(shop, await cookie(shop, " änne "), "GET", "/api/me")

    assert status == 200
    assert me["data"]["sub"] == f"user:{person['id']}"
    assert (me["data"]["name"], me["data"]["role"], me["data"]["sessions"]) == ("Änne", "agent", [12])


async def test_the_answer_never_says_whether_name_or_password_was_wrong(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[Parameters] = []
    verify = PasswordHasher.verify

    def counted(hasher: PasswordHasher, stored: str, password: str) -> bool:
        compared.append(extract_parameters(stored))
        return verify(hasher, stored, password)

    monkeypatch.setattr(PasswordHasher, "verify", counted)
    await add(shop)
    await add(shop, "Away")
    await shop.gateway.data("PUT", f"{PEOPLE}/2", {"disabled": True})
    tries = [("Ann", "wrong horse"), ("Nobody", PASSWORD), ("Away", PASSWORD), ("", PASSWORD), ("Ann", ""),
             ("Ann\0", PASSWORD), ("x" * 900, "x" * 5000)]  # fmt: skip
    answers = []
    for name, password in tries:
        status, reply, headers = await post_login(shop, {"name": name, "password": password})
        assert reply.pop("request_id")  # of each its own
        answers.append((status, reply))
        assert "Set-Cookie" not in headers
    assert {status for status, _ in answers} == {401}
    assert len({json.dumps(reply) for _, reply in answers}) == 1
    # Nor does the time say it: each of them cost one comparison, and all comparisons cost the same.
    assert len(compared) == len(tries)
    assert len(set(map(str, compared))) == 1


@pytest.mark.parametrize(
    "body", [{"name": 5, "password": PASSWORD}, {"name": "Ann"}, {"name": ["Ann"], "password": {}}]
)
async def test_a_login_that_is_none_is_invalid(shop: Shop, body: Any) -> None:
    assert (await post_login(shop, body))[0] == 422


async def test_the_sixth_wrong_password_in_a_minute_is_told_when_to_come_back(shop: Shop) -> None:
    await add(shop)
    for _ in range(5):
        assert (await post_login(shop, {"name": "Ann", "password": "wrong horse"}))[0] == 401
    status, reply, headers = await post_login(shop, {"name": "Ann", "password": PASSWORD})

    assert (status, reply["code"]) == (429, "rate_limited")
    assert 1 <= int(headers["Retry-After"]) <= 60
    await add(shop, "Bob")
    assert (await post_login(shop, {"name": "Bob", "password": PASSWORD}))[0] == 200


async def test_many_tries_at_once_count_each(shop: Shop) -> None:
    await add(shop)
    wrong = {"name": "Ann", "password": "wrong horse"}
    statuses = [
        status for status, _, _ in await asyncio.gather(*(post_login(shop, wrong) for _ in range(12)))
    ]

    assert sorted(statuses) == [401] * 5 + [429] * 7


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
     {"Sec-Fetch-Site": "same-site"}, {"Origin": "null", "Sec-Fetch-Site": "cross-site"}],
    ids=str,
)  # fmt: skip
async def test_no_foreign_page_logs_a_browser_in(shop: Shop, headers: dict[str, str]) -> None:
    await add(shop)
    ticket = (await shop.gateway.gateway.login_link()).partition("ticket=")[2]
    for body in ({"name": "Ann", "password": PASSWORD}, {"ticket": ticket}):
        status, reply, sent = await post_login(shop, body, **headers)
        assert (status, reply["code"]) == (403, "forbidden")
        assert "Set-Cookie" not in sent
    own = {"Origin": shop.gateway.url, "Sec-Fetch-Site": "same-origin"}
    assert (await post_login(shop, {"ticket": ticket}, **own))[0] == 200


async def test_neither_password_nor_token_nor_ticket_is_logged_or_kept(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await add(shop)
    headers = await cookie(shop)
    await post_login(shop, {"name": "Ann", "password": "wrong horse"})
    await post_login(shop, {"name": "in the wrong field", "password": "x"})
    _, made = await as_browser(shop, headers, "POST", "/api/tickets", {"for": "embed"})
    await shop.gateway.gateway.access.access_log.write()
    secrets = [
        PASSWORD,
        "wrong horse",
        "in the wrong field",
        headers["Cookie"].partition("=")[2],
        made["data"]["ticket"],
    ]
    kept = json.dumps([[dict(row) for row in await shop.db.fetch(f"SELECT * FROM gateway.{table}")]
                       for table in ("users", "logins", "access_log", "tickets", "revoked")], default=str)  # fmt: skip
    logged = "\n".join(record.getMessage() for record in caplog.records)
    for secret in secrets:
        assert secret not in kept + logged


async def test_the_access_log_tells_who_came_in_who_did_not_and_who_changed_that(shop: Shop) -> None:
    person = await add(shop)
    headers = await cookie(shop)
    await post_login(shop, {"name": "Ann", "password": "wrong\nhorse"})
    await shop.gateway.call("GET", "/api/me", token="x.y.z")
    await as_browser(shop, headers, "POST", "/api/tickets", {"for": "ws"})
    await as_browser(shop, headers, "POST", "/logout")
    await shop.gateway.data("PUT", f"{PEOPLE}/{person['id']}", {"role": "viewer"})
    await shop.gateway.gateway.access.access_log.write()

    rows = await shop.db.fetch("SELECT event, sub, actor, address FROM gateway.access_log ORDER BY id")
    assert [row["event"] for row in rows] == [
        "person_added", "login", "ticket_made", "logout", "person_changed", "login_failed", "token_refused",
    ]  # fmt: skip
    assert rows[1]["sub"] == person["sub"]
    assert rows[1]["address"] == "127.0.0.1"
    assert rows[4]["actor"] == "tester"


async def test_a_login_with_a_password_that_is_changed_meanwhile_never_begins(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await add(shop)
    matches = Passwords.matches

    async def slow_matches(self: Passwords, stored: str | None, password: str) -> bool:
        is_right = await matches(self, stored, password)
        await shop.gateway.data("PUT", f"{PEOPLE}/{person['id']}", {"password": "another horse"})
        return is_right

    monkeypatch.setattr(Passwords, "matches", slow_matches)
    status, reply, headers = await post_login(shop, {"name": "Ann", "password": PASSWORD})

    assert (status, reply["code"], "Set-Cookie" in headers) == (401, "unauthenticated", False)
    assert await shop.db.fetchval("SELECT count(*) FROM gateway.logins") == 0


# ------------------------------------------------------------------------------------------ people


async def test_people_are_added_changed_listed_and_deleted(shop: Shop) -> None:
    person = await add(shop, sessions=[12])
    assert person["has_password"]
    assert "password" not in json.dumps(person).replace("has_password", "")
    changed = await shop.gateway.data("PUT", f"{PEOPLE}/{person['id']}", {"name": "Anna", "sessions": "*"})
    assert (changed["name"], changed["sessions"], changed["role"]) == ("Anna", "*", "agent")
    assert [item["name"] for item in await shop.gateway.data("GET", PEOPLE)] == ["Anna"]
    await shop.gateway.data("DELETE", f"{PEOPLE}/{person['id']}")
    assert await shop.gateway.data("GET", PEOPLE) == []
    assert (await shop.gateway.call("DELETE", f"{PEOPLE}/{person['id']}"))[0] == 404


async def test_a_name_is_one_persons_whatever_its_case(shop: Shop) -> None:
    await add(shop)
    status, reply = await shop.gateway.call("POST", PEOPLE, {"name": "ANN", "role": "viewer"})
    assert (status, reply["code"]) == (409, "conflict")


BAD: list[dict[str, Any]] = [
    {}, {"name": "x"}, {"role": "agent"}, {"name": "", "role": "agent"}, {"name": "a\nb", "role": "agent"},
    {"name": "x" * 101, "role": "agent"}, {"name": 5, "role": "agent"}, {"name": "user:1", "role": "agent"},
    {"name": "x", "role": "owner"}, {"name": "x", "role": None}, {"name": "x", "role": "agent", "password": "short"},
    {"name": "x", "role": "agent", "password": 12345678}, {"name": "x", "role": "agent", "password": "x" * 1001},
    {"name": "x", "role": "agent", "sessions": "12"}, {"name": "x", "role": "agent", "sessions": [-1]},
    {"name": "x", "role": "agent", "sessions": [True]}, {"name": "x", "role": "agent", "sessions": None},
    {"name": "x", "role": "agent", "disabled": "yes"}, {"name": "x", "role": "agent", "hash": "y"},
]  # fmt: skip


async def test_a_person_that_makes_no_sense_is_invalid(shop: Shop) -> None:
    for fields in BAD:
        status, reply = await shop.gateway.call("POST", PEOPLE, fields)
        assert (status, reply["code"]) == (422, "invalid"), fields
    assert await shop.gateway.data("GET", PEOPLE) == []


async def test_a_login_link_of_a_person_lets_one_browser_in_once_as_that_person(shop: Shop) -> None:
    person = (await add(shop, "Ben", sessions=[12]))["id"]
    link = await shop.gateway.data("POST", f"{PEOPLE}/{person}/login-link")
    assert link["expires_in_s"] == 3600
    ticket = link["path"].removeprefix("/login?ticket=")

    status, _, headers = await post_login(shop, {"ticket": ticket})
    assert status == 200
    own = {"Cookie": headers["Set-Cookie"].partition(";")[0]}
    me = (await as_browser(shop, own, "GET", "/api/me"))[1]["data"]
    assert (me["sub"], me["name"], me["sessions"]) == (f"user:{person}", "Ben", [12])
    assert (await post_login(shop, {"ticket": ticket}))[0] == 401
    assert len((await as_browser(shop, own, "GET", "/api/account/logins"))[1]["data"]) == 1

    unused = (await shop.gateway.data("POST", f"{PEOPLE}/{person}/login-link"))["path"].partition("=")[2]
    await shop.gateway.data("PUT", f"{PEOPLE}/{person}", {"disabled": True})
    assert (await post_login(shop, {"ticket": unused}))[0] == 401
    status, reply = await shop.gateway.call("POST", f"{PEOPLE}/{person}/login-link")
    assert (status, reply["code"]) == (409, "conflict")
    status, reply = await shop.gateway.call("POST", f"{PEOPLE}/999/login-link")
    assert status == 404
    limited = shop.gateway.token(Role.ADMIN, {13})
    assert (await shop.gateway.call("POST", f"{PEOPLE}/{person}/login-link", token=limited))[0] == 404
    agent = shop.gateway.token(Role.AGENT)
    assert (await shop.gateway.call("POST", f"{PEOPLE}/{person}/login-link", token=agent))[0] == 403


async def test_a_limited_admin_manages_only_people_within_his_sessions_and_role(shop: Shop) -> None:
    within = await add(shop, "Within", sessions=[12])
    beyond = [await add(shop, name, role, sessions=sessions) for name, role, sessions in
              (("All", "viewer", "*"), ("Other", "viewer", [13]), ("Both", "agent", [12, 13]))]  # fmt: skip
    limited = shop.gateway.token(Role.ADMIN, {12})

    assert [item["name"] for item in await shop.gateway.data("GET", PEOPLE, token=limited)] == ["Within"]
    for person in beyond:
        path = f"{PEOPLE}/{person['id']}"
        assert (await shop.gateway.call("PUT", path, {"disabled": True}, token=limited))[0] == 404
        assert (await shop.gateway.call("DELETE", path, token=limited))[0] == 404
    for wish in ({"sessions": "*"}, {"sessions": [12, 13]}, {"sessions": [13]}):
        path = f"{PEOPLE}/{within['id']}"
        assert (await shop.gateway.call("PUT", path, wish, token=limited))[0] == 403
        fields = {"name": "New", "role": "viewer", "password": PASSWORD, **wish}
        assert (await shop.gateway.call("POST", PEOPLE, fields, token=limited))[0] == 403
    made = await add(shop, "Mine", "admin", token=limited)
    assert made["sessions"] == [12]


async def test_an_admin_cannot_lock_himself_out(shop: Shop) -> None:
    person = await add(shop, role="admin")
    headers = await cookie(shop)
    path = f"{PEOPLE}/{person['id']}"
    for method, body in (("PUT", {"disabled": True}), ("PUT", {"role": "viewer"}), ("DELETE", None)):
        assert (await as_browser(shop, headers, method, path, body))[0] == 409
    assert (await as_browser(shop, headers, "PUT", path, {"name": "Anna"}))[0] == 200


async def test_a_person_who_is_promoted_meanwhile_is_not_changed_by_a_limited_admin(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = await add(shop, sessions=[12])
    limited, path = shop.gateway.token(Role.ADMIN, {12}), f"{PEOPLE}/{person['id']}"
    people = shop.gateway.gateway.repositories.people
    person_of = people.person

    async def person_a_while_ago(person_id: int) -> Any:
        found = await person_of(person_id)
        await shop.db.execute("UPDATE gateway.users SET sessions = '\"*\"'")
        return found

    monkeypatch.setattr(people, "person", person_a_while_ago)
    for method, body in (("PUT", {"password": "another horse"}), ("DELETE", None)):
        await shop.db.execute("UPDATE gateway.users SET sessions = '[12]'")
        status, reply = await shop.gateway.call(method, path, body, token=limited)
        assert (status, reply["code"]) == (409, "conflict")
    await cookie(shop)  # with the password of before


async def test_an_admin_changes_the_own_password_only_by_the_route_that_asks_for_the_current_one(
    shop: Shop,
) -> None:
    person = await add(shop, role="admin")
    headers, path = await cookie(shop), f"{PEOPLE}/{person['id']}"
    _, made = await as_browser(shop, headers, "POST", "/api/tickets", {"for": "embed"})
    _, redeemed = await as_browser(
        shop, {}, "POST", "/api/tickets/redeem", {"ticket": made["data"]["ticket"]}
    )
    bearer = {"Authorization": f"Bearer {redeemed['data']['token']}"}
    for each in (headers, bearer):
        status, reply = await as_browser(shop, each, "PUT", path, {"password": "another horse"})
        assert (status, "/api/account/password" in reply["error"]) == (409, True)
    await cookie(shop)


# ------------------------------------------------------------------------------------------ account


async def test_one_sees_ones_own_logins_and_ends_them(shop: Shop) -> None:
    await add(shop)
    await add(shop, "Bob")
    here, there, bobs = await cookie(shop), await cookie(shop), await cookie(shop, "Bob")

    _, found = await as_browser(shop, here, "GET", "/api/account/logins")
    assert [item["is_current"] for item in found["data"]].count(True) == 1
    assert len(found["data"]) == 2
    assert found["data"][0]["address"] == "127.0.0.1"
    _, of_bob = await as_browser(shop, bobs, "GET", "/api/account/logins")
    not_mine = of_bob["data"][0]["id"]
    for wrong in (not_mine, "x", "'; --"):
        assert (await as_browser(shop, here, "DELETE", f"/api/account/logins/{wrong}"))[0] == 404
    _, ended = await as_browser(shop, here, "DELETE", "/api/account/logins")
    assert ended["data"] == {"ended": 1}

    async def status() -> int:
        return (await as_browser(shop, there, "GET", "/api/me"))[0]

    await eventually(status, lambda found: found == 401)
    assert (await as_browser(shop, here, "GET", "/api/me"))[0] == 200
    assert (await as_browser(shop, bobs, "GET", "/api/me"))[0] == 200


async def test_of_two_who_came_by_links_each_sees_and_ends_only_the_login_that_asks(shop: Shop) -> None:
    cookies = []
    for _ in range(2):
        ticket = (await shop.gateway.gateway.login_link()).partition("ticket=")[2]
        _, _, headers = await post_login(shop, {"ticket": ticket})
        cookies.append({"Cookie": headers["Set-Cookie"].partition(";")[0]})
    here, there = cookies
    path = "/api/account/logins"
    of_each = [(await as_browser(shop, each, "GET", path))[1]["data"] for each in cookies]
    assert [len(found) for found in of_each] == [1, 1]
    assert of_each[0][0]["id"] != of_each[1][0]["id"]

    assert (await as_browser(shop, here, "DELETE", f"{path}/{of_each[1][0]['id']}"))[0] == 404
    assert (await as_browser(shop, here, "DELETE", path))[1]["data"] == {"ended": 0}
    assert (await as_browser(shop, there, "GET", "/api/me"))[0] == 200
    assert (await as_browser(shop, here, "DELETE", f"{path}/{of_each[0][0]['id']}"))[0] == 200


async def test_a_password_is_changed_by_who_knows_the_old_one(shop: Shop) -> None:
    await add(shop)
    headers, path = await cookie(shop), "/api/account/password"
    fresh = "another horse"
    for body, status in (
        ({"current_password": "wrong horse", "new_password": fresh}, 422),
        ({"current_password": PASSWORD, "new_password": "short"}, 422),
        ({"new_password": fresh}, 422),
        ({"current_password": PASSWORD, "new_password": fresh}, 200),
    ):
        assert (await as_browser(shop, headers, "POST", path, body))[0] == status, body
    await cookie(shop, password=fresh)
    assert (await post_login(shop, {"name": "Ann", "password": PASSWORD}))[0] == 401


async def test_a_token_that_only_names_a_person_changes_no_password(shop: Shop) -> None:
    person = await add(shop)
    login: Login = shop.gateway.gateway.access.login
    principal = login.verify(shop.gateway.token(Role.AGENT))
    forged = login.issue(type(principal)(person["sub"], "Ann", Role.AGENT, None), 600)[0]
    body = {"current_password": PASSWORD, "new_password": "another horse"}
    assert (await shop.gateway.call("POST", "/api/account/password", body, token=forged))[0] == 403


# ------------------------------------------------------------------------------------------ tickets


async def test_a_ticket_may_name_the_person_it_is_for(shop: Shop) -> None:
    wish = {"for": "embed", "sub": "shop-17", "name": "Ann\nat the till", "role": "viewer", "sessions": [12]}
    for role in (Role.AGENT, Role.ADMIN):
        made = await shop.gateway.data("POST", "/api/tickets", wish, token=shop.gateway.token(role))
        redeemed = await shop.gateway.data(
            "POST", "/api/tickets/redeem", {"ticket": made["ticket"]}, token=""
        )
        me = await shop.gateway.data("GET", "/api/me", token=redeemed["token"])
        assert (me["sub"], me["name"], me["sessions"]) == ("shop-17", "Ann\\nat the till", [12])
        for method, path in (("GET", "/api/account/logins"), ("DELETE", "/api/account/logins")):
            assert (await shop.gateway.call(method, path, token=redeemed["token"]))[0] == 403


async def test_a_viewer_a_browser_and_a_thief_of_numbers_make_tickets_for_themselves_only(shop: Shop) -> None:
    person = await add(shop, role="admin")
    viewer = shop.gateway.token(Role.VIEWER)
    headers = await cookie(shop)
    wish = {"for": "ws", "sub": "shop-17"}
    assert (await shop.gateway.call("POST", "/api/tickets", wish, token=viewer))[0] == 403
    assert (await as_browser(shop, headers, "POST", "/api/tickets", wish))[0] == 403
    assert (await shop.gateway.call("POST", "/api/tickets", {"sub": person["sub"]}))[0] == 403
    odds: list[dict[str, Any]] = [
        {"sub": {}},
        {"sub": "x" * 201},
        {"name": []},
        {"sub": True},
        {"sessions": [-1]},
        {"sessions": [2**63]},
        {"sessions": list(range(10_001))},
    ]
    for odd in odds:
        assert (await shop.gateway.call("POST", "/api/tickets", odd))[0] == 422, odd


async def test_a_ticket_counts_as_anothers_only_where_it_may_be_for_another(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer, agent = shop.gateway.token(Role.VIEWER), shop.gateway.token(Role.AGENT)
    counted: list[bool] = []
    monkeypatch.setattr(
        shop.gateway.gateway.limiters.rates, "ticket", lambda *args, for_other: counted.append(for_other)
    )
    for token, sub, status in (
        (agent, None, 200),
        (agent, "tester", 200),
        (agent, "shop-1", 200),
        (viewer, None, 200),
        (viewer, "shop-1", 403),
    ):
        assert (await shop.gateway.call("POST", "/api/tickets", {"sub": sub}, token=token))[0] == status
    assert counted == [False, False, True, False, False]


# ------------------------------------------------------------------------------------------ upstream by a browser


async def test_a_browsers_get_never_asks_upstream(shop: Shop) -> None:
    await add(shop, role="admin")
    headers = await cookie(shop)
    made = await shop.create()
    await shop.db.execute("DELETE FROM whatsapp_sessions WHERE wasender_session_id = $1", made)
    for path in (f"{SESSIONS}/{made}", f"{SESSIONS}/{made}?refresh=1", f"{SESSIONS}/{made}/status?refresh=1"):
        assert (await as_browser(shop, headers, "GET", path))[0] == 404, path
    assert (await as_browser(shop, headers, "GET", f"{SESSIONS}?refresh=1"))[0] == 200
    assert (
        await shop.db.fetchval("SELECT count(*) FROM whatsapp_sessions WHERE wasender_session_id = $1", made)
        == 0
    )
    assert (await as_browser(shop, headers, "POST", f"{SESSIONS}/{made}/refresh"))[0] == 200
    assert (
        await shop.db.fetchval("SELECT count(*) FROM whatsapp_sessions WHERE wasender_session_id = $1", made)
        == 1
    )


async def test_a_viewers_get_asks_upstream_only_where_it_says_so(shop: Shop) -> None:
    made = await shop.create()
    await shop.db.execute("DELETE FROM whatsapp_sessions WHERE wasender_session_id = $1", made)
    viewer = shop.gateway.token(Role.VIEWER)
    for path in (f"{SESSIONS}/{made}", f"{SESSIONS}/{made}/status"):
        assert (await shop.gateway.call("GET", path, token=viewer))[0] == 404, path
    assert (await shop.gateway.call("GET", f"{SESSIONS}/{made}?refresh=1", token=viewer))[0] == 200
