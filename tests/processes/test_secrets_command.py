"""`gateway secrets encrypt`: from then on only a gateway with the same GATEWAY_SECRET can read the keys."""

import asyncpg

from tests.launcher.running import reach
from tests.launcher.settings import SECRET
from tests.launcher.terminal import Terminal
from tests.processes.upstream import simulated

WISH = {"name": "Shop", "phone_number": "+15550001111", "account_protection": True, "log_messages": True}


async def stored(database: str) -> list[str]:
    """Every secret column's value that is not empty."""
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch(
            "SELECT unnest(ARRAY[api_key, webhook_secret]) AS value FROM whatsapp_sessions "
            "UNION ALL SELECT api_key FROM integrations"
        )
    finally:
        await connection.close()
    return [row["value"] for row in rows if row["value"]]


async def test_what_was_readable_is_encrypted_once_and_still_works(terminal: Terminal, database: str) -> None:
    async with simulated(terminal, terminal.folder / "state.json") as upstream:
        env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET, "WASENDER_BASE_URL": upstream.base_url}
        env["GATEWAY_PUBLIC_URL"] = "http://127.0.0.1:9"
        await terminal.run("integrations", "set", "wasender", env=env, stdin=upstream.token + "\n")
        _, made = await upstream.call("POST", "/whatsapp-sessions", WISH)
        assert (await terminal.run("sync", env=env)).code == 0
        plain = await stored(database)
        assert set(plain) >= {upstream.token, made["data"]["api_key"]}

        first = await terminal.run("secrets", "encrypt", env=env)
        again = await terminal.run("secrets", "encrypt", env=env)

        assert (first.code, again.code) == (0, 0)
        assert first.out.startswith(f"{len(plain)} secrets encrypted.")
        assert again.out.startswith("0 secrets encrypted.")
        assert not set(plain) & set(await stored(database))
        async with (
            terminal.start("serve", "--port", "0", env=env) as serve,
            reach((await serve.line(r"runs at (\S+)"))[1]) as remote,
        ):
            # Upstream is reached with the encrypted token, and what it brings is encrypted when it is stored.
            await remote.data("POST", "/api/whatsapp-sessions", WISH | {"phone_number": "+15550002222"})
            assert all(value.startswith("enc:") for value in await stored(database))
            shown = await remote.data("GET", "/api/whatsapp-sessions/1?reveal=secrets")
        assert shown["api_key"] == made["data"]["api_key"]


async def test_with_another_gateway_secret_one_sentence_says_so(terminal: Terminal, database: str) -> None:
    env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET, "WASENDER_BASE_URL": "http://127.0.0.1:9"}
    await terminal.run("integrations", "set", "wasender", env=env, stdin="1|token\n")
    assert (await terminal.run("secrets", "encrypt", env=env)).code == 0

    ended = await terminal.run("sync", env=env | {"GATEWAY_SECRET": SECRET[::-1]})

    assert "encrypted with another GATEWAY_SECRET" in ended.complaint()
