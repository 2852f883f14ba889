"""`gateway journal`: looking at webhooks that went wrong, and processing them again, from a terminal."""

import asyncpg
import orjson

from tests.http.support import INCOMING, received
from tests.launcher.terminal import Terminal


async def test_failures_are_listed_shown_and_processed_again(terminal: Terminal, database: str) -> None:
    env = {"DATABASE_URL": database}
    connection = await asyncpg.connect(database)
    for number, outcome in enumerate(("failed", "failed", "unknown", "stored")):
        body = orjson.dumps({**received(f"text {number}", key_id=f"K{number}"), "sessionId": "12"}).decode()
        await connection.execute(
            "INSERT INTO gateway.journal (wasender_session_id, event, outcome, reason, body)"
            " VALUES (12, 'messages.received', $1, 'because', $2)",
            outcome, None if outcome == "stored" else body,
        )  # fmt: skip

    listed = await terminal.run("journal", env=env)
    assert [line.split("  ")[0] for line in listed.out.splitlines()] == ["3", "2", "1"]
    assert "session 12  messages.received  failed  because" in listed.out
    everything = await terminal.run("journal", "--outcome", "all", "--limit", "1", env=env)
    assert "stored" in everything.out
    assert "There are more" in everything.out

    shown = await terminal.run("journal", "show", "1", env=env)
    assert orjson.loads(shown.out.partition("\n")[2])["sessionId"] == "12"

    assert "stored" in (await terminal.run("journal", "retry", "1", env=env)).out
    assert (await terminal.run("journal", "retry", "--failed", env=env)).out == "Processed again: 1 stored."
    again = await terminal.run("journal", "retry", "--failed", env=env)
    assert again.out == "There is nothing to process again."
    rows = await connection.fetch(f"SELECT wa_key_id FROM {INCOMING} ORDER BY id")
    assert [row["wa_key_id"] for row in rows] == ["K0", "K1"]
    assert "(gateway journal)" in await connection.fetchval(
        "SELECT retried_by FROM gateway.journal WHERE id = 1"
    )
    await connection.close()


async def test_what_cannot_be_meant_is_one_sentence(terminal: Terminal, database: str) -> None:
    env = {"DATABASE_URL": database}

    assert "'lost' is no outcome" in (await terminal.run("journal", "--outcome", "lost", env=env)).complaint()
    assert "Name the entries" in (await terminal.run("journal", "retry", env=env)).complaint()
    missing = await terminal.run("journal", "show", "5", env=env)
    assert (missing.code, missing.err) == (
        1,
        "Error: The journal has no entry 5. Entries are kept for 30 days.",
    )
