"""`gateway user`, `login-link`, `token revoke`: how people are let in and put out, in a compose file's environment."""

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import jwt
import pytest

from gateway.postgres.sessions.vault import Vault
from tests.launcher.running import Remote, reach
from tests.launcher.settings import SECRET
from tests.launcher.terminal import Terminal

PASSWORD = "correct horse"


def compose(database: str, **more: str) -> dict[str, str]:
    """What docker-compose.yml sets, as far as a gateway on loopback needs it."""
    return {
        "DATABASE_URL": database,
        "GATEWAY_SECRET": SECRET,
        "WASENDER_BASE_URL": "http://127.0.0.1:9",
        **more,
    }


async def log_in(remote: Remote, body: dict[str, Any]) -> tuple[int, dict[str, str]]:
    async with aiohttp.ClientSession() as http, http.post(remote.url + "/login", json=body) as reply:
        cookie = reply.headers.get("Set-Cookie", "").partition(";")[0]
        return reply.status, {"Cookie": cookie}


async def is_out(remote: Remote, headers: dict[str, str]) -> None:
    async with asyncio.timeout(2):
        while (await remote.call("GET", "/api/me", token="", headers=headers))[0] != 401:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_from_a_fresh_database_to_the_first_admin_by_one_command(
    terminal: Terminal, empty_database: str
) -> None:
    env = compose(empty_database)
    async with (
        terminal.start("serve", "--port", "0", env=env) as serve,
        reach((await serve.line(r"runs at (\S+)"))[1]) as remote,
    ):
        command = (await serve.line(r"gateway (user add \S+ --role admin)"))[1]
        assert "ticket=" not in serve.said
        added = await terminal.run(*command.replace("NAME", "Ann").split(), env=env, stdin=PASSWORD + "\n")
        assert (added.code, added.out) == (0, "Ann may log in now, as admin.")
        status, headers = await log_in(remote, {"name": "ann", "password": PASSWORD})
        assert status == 200
        me = await remote.data("GET", "/api/me", token="", headers=headers)
        assert (me["role"], me["sessions"]) == ("admin", "*")

        changed = await terminal.run("user", "password", "Ann", env=env, stdin="another horse\n")
        assert changed.code == 0
        await is_out(remote, headers)
        _, headers = await log_in(remote, {"name": "Ann", "password": "another horse"})
        listed = await terminal.run("user", "list", env=env)
        assert listed.out == "Ann  admin, all sessions"
        assert (await terminal.run("user", "disable", "ANN", env=env)).code == 0
        await is_out(remote, headers)
        assert (await terminal.run("user", "list", env=env)).out == "Ann  admin, all sessions, disabled"
    async with terminal.start("serve", "--port", "0", env=env) as again:
        await again.line("Nobody can log in yet")


async def test_how_to_get_in_is_said_once_whatever_the_number_of_workers(
    terminal: Terminal, database: str, free_port: int
) -> None:
    env = compose(database, GATEWAY_WORKERS="2", GATEWAY_PORT=str(free_port))
    assert (await terminal.run("user", "add", "Ann", env=env, stdin=PASSWORD + "\n")).code == 0
    async with terminal.start("serve", env=env) as serve:
        async with asyncio.timeout(60):
            while serve.said.count("The gateway runs at") < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert serve.said.count("Log in at") == 1
        assert f"http://127.0.0.1:{free_port}/login" in serve.said
        assert "ticket=" not in serve.said


async def test_a_login_link_has_the_public_address_and_works_once(terminal: Terminal, database: str) -> None:
    env = compose(database, GATEWAY_PUBLIC_URL="https://gw.shop.example/chat")
    options = ("--role", "viewer", "--name", "Ann", "--session", "7")
    printed = await terminal.run("login-link", *options, env=env)
    assert printed.out.startswith("https://gw.shop.example/chat/login?ticket=")
    ticket = printed.out.partition("ticket=")[2]
    async with (
        terminal.start("serve", "--port", "0", env=compose(database)) as serve,
        reach((await serve.line(r"runs at (\S+)"))[1]) as remote,
    ):
        beside = await terminal.run("login-link", env=compose(database))
        assert beside.code == 0
        statuses = [await log_in(remote, {"ticket": ticket}) for _ in range(2)]
        assert [status for status, _ in statuses] == [200, 401]
        me = await remote.data("GET", "/api/me", token="", headers=statuses[0][1])
        assert (me["sub"], me["role"], me["sessions"]) == ("Ann", "viewer", [7])
        unused = (await terminal.run("login-link", "--name", "Ann", env=compose(database))).out.partition(
            "ticket="
        )[2]
        revoked = await terminal.run("token", "revoke", "--sub", "Ann", env=compose(database))
        assert revoked.out == "Every token of Ann issued so far is good no more."
        await is_out(remote, statuses[0][1])
        assert (await log_in(remote, {"ticket": unused}))[0] == 401


async def test_commands_find_the_database_and_the_address_of_a_demo_that_runs(
    terminal: Terminal, used_data_dir: Path
) -> None:
    folder = ("--data-dir", str(used_data_dir))
    async with (
        terminal.start("demo", "--port", "0", *folder) as demo,
        reach((await demo.line(r"(http\S+)/login"))[1]) as remote,
    ):
        added = await terminal.run("user", "add", "Ann", "--role", "admin", *folder, stdin=PASSWORD + "\n")
        assert added.code == 0, added
        assert (await log_in(remote, {"name": "Ann", "password": PASSWORD}))[0] == 200
        link = (await terminal.run("login-link", "--role", "admin", *folder)).out
        assert link.startswith(remote.url + "/login?ticket=")
        assert (await log_in(remote, {"ticket": link.partition("ticket=")[2]}))[0] == 200


async def test_a_token_is_revoked_by_its_id_and_another_of_the_same_name_is_not(
    terminal: Terminal, database: str
) -> None:
    env = compose(database)
    async with (
        terminal.start("serve", "--port", "0", env=env) as serve,
        reach((await serve.line(r"runs at (\S+)"))[1]) as remote,
    ):
        one, two = [(await terminal.run("token", "--name", "till", env=env)).out for _ in range(2)]
        jti = jwt.decode(one, SECRET, algorithms=["HS256"])["jti"]
        assert (await terminal.run("token", "revoke", "--id", jti, env=env)).code == 0
        await is_out(remote, {"Authorization": f"Bearer {one}"})
        assert (await remote.call("GET", "/api/me", token=two))[0] == 200
        assert (await terminal.run("token", "revoke", "--sub", "till", env=env)).code == 0
        await is_out(remote, {"Authorization": f"Bearer {two}"})
        fresh = (await terminal.run("token", "--name", "till", env=env)).out
        assert (await remote.call("GET", "/api/me", token=fresh))[0] == 200


@pytest.mark.parametrize(
    ("command", "stdin", "sentence"),
    [
        (("user", "add", "Ann"), "short\n", "A password has 8 to 1000 characters."),
        (("user", "add", "Ann"), "\n", "The password is empty. Give it on stdin, or at the prompt."),
        (("user", "add", "Ann", "--role", "owner"), PASSWORD, "is not one of viewer, agent, admin"),
        (("user", "add", "a\nb"), PASSWORD, "all of them in one line"),
        (("user", "add", "user:7"), PASSWORD, "cannot begin with 'user:'"),
        (("user", "disable", "Nobody"), None, "There is no person called Nobody"),
        (("user", "password", "Nobody"), PASSWORD, "There is no person called Nobody"),
        (("login-link", "--name", "user:7"), None, "cannot begin with 'user:'"),
        (("login-link", "--expires", "1y"), None, "is not a time"),
        (("token", "--expires", "91d"), None, "90d at most"),
        (("token", "revoke"), None, "either --sub NAME or --id JTI"),
        (("token", "revoke", "--sub", "a", "--id", "b"), None, "either --sub NAME or --id JTI"),
    ],
    ids=range(12),
)
async def test_what_cannot_be_meant_is_said_in_one_sentence(
    terminal: Terminal, database: str, command: tuple[str, ...], stdin: str | None, sentence: str
) -> None:
    ended = await terminal.run(*command, env=compose(database), stdin=stdin or "")

    assert sentence in ended.complaint()


async def test_a_secret_that_can_be_guessed_is_refused_where_others_can_reach_the_gateway(
    terminal: Terminal,
) -> None:
    env = {
        "GATEWAY_HOST": "192.0.2.1",
        "GATEWAY_SECRET": "short",
        "DATABASE_URL": "postgresql://127.0.0.1:1/x",
    }
    for command in (("serve",), ("token",)):
        assert "must have at least 32" in (await terminal.run(*command, env=env)).complaint()


async def test_a_name_with_line_ends_writes_no_line_into_the_log(terminal: Terminal, database: str) -> None:
    env = compose(database, GATEWAY_LOG_LEVEL="debug")
    claims = {
        "sub": "ann\nERROR all is lost",
        "name": "x\r\ny",
        "role": "viewer",
        "sessions": "*",
        "exp": 4e9,
    }
    async with (
        terminal.start("serve", "--port", "0", env=env) as serve,
        reach((await serve.line(r"runs at (\S+)"))[1]) as remote,
    ):
        claims["exp"] = jwt.decode(remote.token(), SECRET, algorithms=["HS256"])["exp"]
        async with remote.socket(jwt.encode(claims, SECRET, "HS256")):
            pass
        await serve.line("connection.closed")
        assert not [line for line in serve.said.splitlines() if line.startswith(("ERROR", "y"))]


async def test_rotating_the_secret_keeps_logins_and_stored_secrets(terminal: Terminal, database: str) -> None:
    old, new = (
        compose(database),
        compose(database, GATEWAY_SECRET=SECRET[::-1], GATEWAY_SECRET_PREVIOUS=SECRET),
    )
    await terminal.run("integrations", "set", "wasender", env=old, stdin="1|account-token\n")
    connection = await asyncpg.connect(database)
    try:
        key, secret = "session-key-0123456789abcdef", "webhook-secret-0123456789"
        await connection.execute(
            "INSERT INTO whatsapp_sessions (wasender_session_id, name, phone_number, api_key, webhook_secret,"
            " session_data) VALUES (7, 'Shop', '+1', $1, $2, $3::text::jsonb)",
            key, secret, f'{{"api_key": "{key}", "n": 1e400, "list": [{{"webhook_secret": "{secret}"}}], "id": 7}}',
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, received_at, raw_data)"
            " VALUES ('m1', '49151', now(), $1::text::jsonb), ('m2', '49151', now(), '{\"sessionId\": 7}')",
            f'{{"event": "messages.received", "sessionId": "{key}", "data": {{"n": 12345678901234567890.5}}}}',
        )  # fmt: skip

        target_secret = Vault(SECRET, is_sealing=True).seal("whsec_c2VjcmV0LW9mLWEtdGFyZ2V0")
        await connection.execute(
            "INSERT INTO gateway.webhook_targets (url, secret, former_secret) VALUES ('https://shop.example/', $1, $1)",
            target_secret,
        )

        async def dump() -> str:
            rows = await connection.fetch(
                "SELECT t::text AS row FROM whatsapp_sessions AS t UNION ALL SELECT t::text FROM integrations AS t"
                " UNION ALL SELECT t::text FROM whatsapp_incoming_messages AS t"
            )
            return "\n".join(row["row"] for row in rows)

        encrypted = await terminal.run("secrets", "encrypt", env=old)
        assert encrypted.out.startswith("6 secrets encrypted."), encrypted
        found = await dump()
        for plain in (key, secret, "account-token"):
            assert plain not in found
        assert "12345678901234567890.5" in found
        assert '"sessionId": 7' in found.replace('""', '"')

        stranger = compose(database, GATEWAY_SECRET="z" * 40)
        refused = await terminal.run("secrets", "rotate", env=stranger)
        assert (refused.code, refused.out) == (1, "")
        assert "opens 8 stored secrets" in refused.err
        assert await dump() == found

        login = (await terminal.run("token", "--role", "admin", env=old)).out
        rotated = await terminal.run("secrets", "rotate", env=new)
        assert rotated.out.startswith("8 secrets encrypted anew."), rotated
        again = await terminal.run("secrets", "rotate", env=new)
        assert again.out.startswith("0 secrets encrypted anew.")
        kept = await connection.fetchrow("SELECT secret, former_secret FROM gateway.webhook_targets")
        assert kept is not None
        assert {Vault(SECRET[::-1]).open(value) for value in kept} == {"whsec_c2VjcmV0LW9mLWEtdGFyZ2V0"}
        only_new = {key_: value for key_, value in new.items() if key_ != "GATEWAY_SECRET_PREVIOUS"}
        for env, status in ((new, 200), (only_new, 401)):
            async with (
                terminal.start("serve", "--port", "0", env=env) as serve,
                reach((await serve.line(r"runs at (\S+)"))[1], new["GATEWAY_SECRET"]) as remote,
            ):
                assert (await remote.call("GET", "/api/me", token=login))[0] == status
                shown = await remote.data("GET", "/api/whatsapp-sessions/7?reveal=secrets")
                assert (shown["api_key"], shown["webhook_secret"]) == (key, secret)
    finally:
        await connection.close()
