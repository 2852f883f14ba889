"""`gateway doctor`: one line for each thing it looked at, and what to do about those that are wrong."""

from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.launcher.running import reach
from tests.launcher.settings import SECRET
from tests.launcher.terminal import Ended, Terminal
from tests.processes.conftest import Role
from tests.processes.upstream import Upstream, simulated

WISH = {"name": "Shop", "phone_number": "+15550001111", "account_protection": True, "log_messages": True}


def lines_of(ended: Ended) -> dict[str, tuple[str, str]]:
    """Subject → mark and sentence."""
    assert "Traceback" not in ended.err + ended.out, ended
    found = {}
    for line in ended.out.splitlines():
        mark, rest = line[:4].strip(), line[6:]
        found[rest[:12].strip()] = (mark, rest[12:].strip())
    return found


async def prepared(terminal: Terminal, env: dict[str, str]) -> None:
    assert (await terminal.run("migrate", env=env)).code == 0


async def test_a_gateway_in_order_gets_a_good_line_for_everything_and_exit_code_0(
    terminal: Terminal, database: str, free_port: int
) -> None:
    url = f"http://127.0.0.1:{free_port}"
    async with simulated(terminal, terminal.folder / "state.json") as upstream:
        env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET, "GATEWAY_PUBLIC_URL": url, **upstream.env}
        async with terminal.start("serve", "--port", str(free_port), env=env) as serve, reach(url) as remote:
            await serve.line("runs at")
            await remote.data("POST", "/api/whatsapp-sessions", WISH)
            ended = await terminal.run("doctor", env=env)
            stranger = await terminal.run("doctor", env=env | {"GATEWAY_SECRET": "z" * 40})

    assert stranger.code == 1
    assert "not the one of the gateways of this database" in stranger.out
    assert ended.code == 0, ended
    found = lines_of(ended)
    assert {mark for mark, _ in found.values()} == {"ok"}
    assert set(found) == {
        "secret", "database", "schema", "rights", "triggers", "token", "session 1", "address", "websocket",
        "webhook", "clock",
    }  # fmt: skip
    assert "notification came back" in found["database"][1]
    assert upstream.token not in ended.out + ended.err


async def test_the_test_webhook_stores_no_message(terminal: Terminal, database: str, free_port: int) -> None:
    url = f"http://127.0.0.1:{free_port}"
    async with simulated(terminal, terminal.folder / "state.json") as upstream:
        env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET, "GATEWAY_PUBLIC_URL": url, **upstream.env}
        async with terminal.start("serve", "--port", str(free_port), env=env) as serve, reach(url) as remote:
            await serve.line("runs at")
            await remote.data("POST", "/api/whatsapp-sessions", WISH)
            assert lines_of(await terminal.run("doctor", env=env))["webhook"][0] == "ok"
        connection = await asyncpg.connect(database)
        try:
            assert await connection.fetchval("SELECT count(*) FROM whatsapp_incoming_messages") == 0
            (event,) = await connection.fetch("SELECT event FROM gateway.journal")
        finally:
            await connection.close()
    assert event["event"] == "gateway.doctor"


async def refused(terminal: Terminal, env: dict[str, str]) -> dict[str, tuple[str, str]]:
    ended = await terminal.run("doctor", env=env)
    assert ended.code == 1, ended
    return lines_of(ended)


async def test_a_database_that_is_not_there_is_one_line(terminal: Terminal) -> None:
    env = {"DATABASE_URL": "postgresql://shop:pa55@127.0.0.1:1/shop", "GATEWAY_SECRET": SECRET}

    found = await refused(terminal, env)

    assert found["database"][0] == "FAIL"
    assert "Nothing listens at 127.0.0.1:1" in found["database"][1]
    assert "pa55" not in str(found)


async def test_a_database_without_our_schema_says_what_to_run(
    terminal: Terminal, empty_database: str
) -> None:
    found = await refused(terminal, {"DATABASE_URL": empty_database, "GATEWAY_SECRET": SECRET})

    name = urlsplit(empty_database).path[1:]
    assert found["schema"] == (
        "FAIL",
        "The database is not prepared for this version: run `gateway migrate`. "
        f"The database {name} has neither the shop's tables nor the gateway's: is it the one that is meant? "
        "If not, correct DATABASE_URL.",
    )


async def test_rights_that_are_missing_are_named(
    terminal: Terminal, database: str, limited_role: Role
) -> None:
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(f"GRANT USAGE ON SCHEMA gateway TO {limited_role.name}")
        await connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA gateway TO {limited_role.name}")
        await connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {limited_role.name}")
        found = await refused(
            terminal, {"DATABASE_URL": limited_role.dsn(database), "GATEWAY_SECRET": SECRET}
        )
        await connection.execute(f"DROP OWNED BY {limited_role.name}")
    finally:
        await connection.close()

    mark, says = found["rights"]
    assert mark == "FAIL"
    assert "whatsapp_incoming_messages (INSERT)" in says
    assert "(SELECT)" not in says


async def test_a_trigger_that_is_off_is_named_with_what_to_do(terminal: Terminal, database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("ALTER TABLE whatsapp_incoming_messages DISABLE TRIGGER gateway_collect_inserts")
    await connection.close()
    env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET}
    mark, says = lines_of(await terminal.run("doctor", env=env))["triggers"]

    assert mark == "FAIL"
    assert "gateway_collect_inserts on public.whatsapp_incoming_messages is disabled" in says
    assert "`gateway migrate`" in says
    assert (await terminal.run("migrate", env=env)).code == 0
    assert lines_of(await terminal.run("doctor", env=env))["triggers"][0] == "ok"


@pytest.mark.parametrize(
    ("token", "says"),
    [
        ("1|wrong", "token"),
        ("session key", "the API key of a session"),
        (None, "no WasenderAPI account token"),
    ],
)
async def test_a_wrong_token_is_told_from_a_sessions_key_and_from_none(
    terminal: Terminal, database: str, token: str | None, says: str
) -> None:
    async with simulated(terminal, terminal.folder / "state.json") as upstream:
        _, made = await upstream.call("POST", "/whatsapp-sessions", WISH)
        if token == "session key":
            token = made["data"]["api_key"]
        env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET, "WASENDER_BASE_URL": upstream.base_url}
        found = await refused(terminal, {**env, **({"WASENDER_TOKEN": token} if token else {})})

    assert found["token"][0] == "FAIL"
    assert says in found["token"][1]
    assert token is None or token not in str(found)


async def webhook_line(terminal: Terminal, database: str, upstream: Upstream, **change: object) -> str:
    """What is said of session 1 after somebody changed it at WasenderAPI."""
    url = "http://127.0.0.1:9"
    ours = {"webhook_url": f"{url}/api/whatsapp/webhook", "webhook_enabled": True}
    ours["webhook_events"] = ["messages.received", "session.status", "qrcode.updated"]
    assert (await upstream.call("POST", "/whatsapp-sessions", WISH | ours | change))[0] == 201
    env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET, "GATEWAY_PUBLIC_URL": url, **upstream.env}
    found = await refused(terminal, env)
    assert found["session 1"][0] == "FAIL"
    assert found["address"][0] == "FAIL"
    assert "cannot be reached" in found["address"][1]
    return found["session 1"][1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"webhook_url": "https://other.example/hook"}, "Another program has taken"),
        ({"webhook_enabled": False}, "sends no webhooks"),
        ({"webhook_events": ["session.status"]}, "leaves out messages.received"),
        ({}, "not the one stored here: run `gateway sync`"),
    ],
)
async def test_what_is_wrong_with_a_sessions_webhook_is_said(
    terminal: Terminal, database: str, change: dict[str, object], says: str
) -> None:
    async with simulated(terminal, terminal.folder / "state.json") as upstream:
        assert says in await webhook_line(terminal, database, upstream, **change)


async def test_a_short_secret_is_a_finding(terminal: Terminal, database: str) -> None:
    found = await refused(terminal, {"DATABASE_URL": database, "GATEWAY_SECRET": "short"})

    assert found["secret"][0] == "FAIL"
    assert "short" not in found["secret"][1]
