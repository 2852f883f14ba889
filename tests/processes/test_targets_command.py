"""`gateway targets`: webhooks out from a terminal."""

import asyncpg

from tests.http.receivers import receiving
from tests.launcher.settings import SECRET
from tests.launcher.terminal import Terminal


async def test_a_target_is_added_tested_paused_and_its_dead_letters_are_sent_again(
    terminal: Terminal, database: str
) -> None:
    env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET, "GATEWAY_TARGET_NETWORKS": "127.0.0.0/8"}
    async with receiving() as receiver:
        assert "no target yet" in (await terminal.run("targets", env=env)).out
        refused = await terminal.run("targets", "add", "http://10.0.0.1/", env=env)
        assert "no address of the internet" in refused.complaint()
        added = await terminal.run(
            "targets", "add", receiver.url, "--session", "12", "--event", "message.created", env=env
        )
        receiver.secret = added.out.split()[-1]
        tested = await terminal.run("targets", "test", "1", env=env)
        assert (tested.out, receiver.got[0].body["type"]) == (
            "Target 1 took the test: 200 OK",
            "webhook.test",
        )
        receiver.status = 403
        tested = await terminal.run("targets", "test", "1", env=env)
        assert (tested.code, tested.err) == (1, "Error: Target 1 did not take the test: 403 as the test says")
        assert "paused: An admin has paused it." in (await terminal.run("targets", "pause", "1", env=env)).out
        assert "paused" not in (await terminal.run("targets", "resume", "1", env=env)).out
        rotated = await terminal.run("targets", "rotate-secret", "1", env=env)
        assert f"once: {receiver.secret}" not in rotated.out
        assert "The former secret signs too" in rotated.out

        connection = await asyncpg.connect(database)
        await connection.execute(
            "INSERT INTO gateway.webhook_deliveries (target, inbox, off, epoch, session, event, state, failures,"
            " answer) SELECT 1, 12, n, gen_random_uuid(), 12, 'message.created', 'dead', 9, '500 Oops'"
            " FROM generate_series(1, 2) AS n"
        )
        await connection.close()
        assert "0 waiting, 2 dead" in (await terminal.run("targets", "list", env=env)).out
        listed = await terminal.run("targets", "deliveries", "1", "--state", "dead", env=env)
        assert [line.split("  ")[2:] for line in listed.out.splitlines()] == [
            ["session 12", "message.created", "dead", "9 failures", "500 Oops"]
        ] * 2
        assert (
            await terminal.run("targets", "redrive", "1", "2", env=env)
        ).out == "1 dead letters are sent again."
        assert (
            "is no state"
            in (await terminal.run("targets", "deliveries", "1", "--state", "x", env=env)).complaint()
        )
        assert "is removed" in (await terminal.run("targets", "remove", "1", env=env)).out
        missing = await terminal.run("targets", "test", "1", env=env)
        assert (missing.code, missing.err) == (1, "Error: There is no webhook target 1.")
