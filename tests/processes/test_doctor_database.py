"""What doctor says of a server that is in the way: one line with what to do, and never a traceback."""

import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from gateway.cli import doctor as checkup
from gateway.cli.database_checks import connections_fault, database_findings
from gateway.postgres.sessions.vault import Vault
from tests.launcher.settings import SECRET
from tests.launcher.terminal import Terminal
from tests.processes.conftest import Role
from tests.processes.test_doctor_command import lines_of, refused


@pytest.fixture
async def owner(database: str) -> AsyncIterator[asyncpg.Connection]:
    """The owner of everything in the database."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def shop_role(owner: asyncpg.Connection, limited_role: Role) -> AsyncIterator[str]:
    """A role that may do everything in the database, and owns nothing."""
    name = limited_role.name
    for schema in ("gateway", "public"):
        await owner.execute(f"GRANT ALL ON SCHEMA {schema} TO {name}")
        await owner.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {name}")
    yield name
    await owner.execute(f"DROP OWNED BY {name}")


async def found_by(dsn: str) -> dict[str, str]:
    connection = await asyncpg.connect(dsn)
    try:
        return {finding.subject: finding.says async for finding in database_findings(connection)}
    finally:
        await connection.close()


async def test_a_server_in_order_has_no_finding(database: str, shop_role: str, limited_role: Role) -> None:
    assert await found_by(database) == {}
    assert await found_by(limited_role.dsn(database)) == {}


async def test_a_schema_of_another_role_is_named_with_its_owner(
    terminal: Terminal, database: str, limited_role: Role
) -> None:
    found = await refused(terminal, {"DATABASE_URL": limited_role.dsn(database), "GATEWAY_SECRET": SECRET})

    assert found["schema"][0] == "FAIL"
    assert "belongs to the role gateway" in found["schema"][1]
    assert f"GRANT gateway TO {limited_role.name}" in found["schema"][1]


async def test_row_level_security_that_hides_rows_is_named(
    owner: asyncpg.Connection, database: str, shop_role: str, limited_role: Role
) -> None:
    await owner.execute("ALTER TABLE whatsapp_incoming_messages ENABLE ROW LEVEL SECURITY")
    says = (await found_by(limited_role.dsn(database)))["row security"]
    assert "rows of whatsapp_incoming_messages" in says
    assert f"Give {shop_role} the attribute BYPASSRLS" in says
    assert "row security" not in await found_by(database)

    await owner.execute(
        f"CREATE POLICY ours ON whatsapp_incoming_messages TO {shop_role} USING (true) WITH CHECK (true)"
    )
    assert "row security" not in await found_by(limited_role.dsn(database))


async def test_forced_row_level_security_holds_for_the_owner_too(
    owner: asyncpg.Connection, database: str, shop_role: str, limited_role: Role
) -> None:
    await owner.execute(f"ALTER TABLE whatsapp_outgoing_messages OWNER TO {shop_role}")
    await owner.execute("ALTER TABLE whatsapp_outgoing_messages ENABLE ROW LEVEL SECURITY")
    assert "row security" not in await found_by(limited_role.dsn(database))

    await owner.execute("ALTER TABLE whatsapp_outgoing_messages FORCE ROW LEVEL SECURITY")
    says = (await found_by(limited_role.dsn(database)))["row security"]
    await owner.execute("ALTER TABLE whatsapp_outgoing_messages OWNER TO gateway")
    assert "It is forced, so it holds for the owner, too." in says


@pytest.mark.parametrize(
    ("setting", "value", "subject", "says"),
    [
        ("statement_timeout", "'5s'", "time-outs", "statement_timeout = 5000 ms (at least 30000 ms, or 0)"),
        ("idle_session_timeout", "'1min'", "time-outs", "idle_session_timeout = 60000 ms"),
        ("lock_timeout", "'100ms'", "time-outs", "lock_timeout = 100 ms"),
        ("session_replication_role", "replica", "triggers", "session_replication_role is replica"),
    ],
)
async def test_settings_of_the_role_that_are_in_the_way_are_named(
    owner: asyncpg.Connection,
    database: str,
    shop_role: str,
    limited_role: Role,
    setting: str,
    value: str,
    subject: str,
    says: str,
) -> None:
    await owner.execute(f"ALTER ROLE {shop_role} SET {setting} = {value}")

    assert says in (await found_by(limited_role.dsn(database)))[subject]


async def test_a_role_that_may_have_too_few_connections_is_told_so(
    owner: asyncpg.Connection, database: str, shop_role: str, limited_role: Role
) -> None:
    await owner.execute(f"ALTER ROLE {shop_role} CONNECTION LIMIT 5")

    says = (await found_by(limited_role.dsn(database)))["connections"]
    assert "This role may have 5 connections" in says


async def test_a_server_whose_connections_are_taken_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(OldServer):
        async def fetchval(self, statement: str) -> object:
            return {"pg_is_in_recovery": False}.get(statement, True) if "lanname" in statement else 160004

        async def fetchrow(self, statement: str, *_: object) -> Any:
            return {"most": 97, "used": 90, "gateways": 0, "of_role": -1, "of_database": -1}

    full: Any = Full(160004)
    says = await connections_fault(full)
    assert says is not None
    assert "90 of 97 connections are in use" in says
    assert "raise max_connections" in says


async def test_a_language_that_the_role_may_not_use_is_named(
    owner: asyncpg.Connection, database: str, shop_role: str, limited_role: Role
) -> None:
    await owner.execute("REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC")
    says = (await found_by(limited_role.dsn(database)))["extensions"]
    assert "may not use the language plpgsql" in says
    await owner.execute("GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC")
    assert "extensions" not in await found_by(limited_role.dsn(database))


async def test_a_database_that_was_not_meant_is_named(terminal: Terminal, empty_database: str) -> None:
    found = await refused(terminal, {"DATABASE_URL": empty_database, "GATEWAY_SECRET": SECRET})

    assert found["schema"][0] == "FAIL"
    assert "has neither the shop's tables nor the gateway's" in found["schema"][1]
    assert "correct DATABASE_URL" in found["schema"][1]


async def test_clocks_that_are_apart_are_named(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Later":
            return cls.fromtimestamp(time.time() + 90, tz)

    monkeypatch.setattr(checkup, "datetime", Later)
    connection = await asyncpg.connect(database)
    finding = await checkup.clock_finding(connection)
    await connection.close()
    assert not finding.is_fine
    assert "are 90 s apart: switch time synchronisation on" in finding.says


async def test_another_secret_than_the_running_gateways_is_a_finding(
    terminal: Terminal, owner: asyncpg.Connection, database: str
) -> None:
    env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET, "WASENDER_BASE_URL": "http://127.0.0.1:9/api"}
    async with terminal.start("serve", "--port", "0", env=env) as serve:
        await serve.line("runs at")
        found = await refused(terminal, {**env, "GATEWAY_SECRET": SECRET[::-1]})
        await serve.stop()

    assert found["secret"][0] == "FAIL"


async def test_secrets_that_were_sealed_with_another_secret_are_a_finding(
    terminal: Terminal, owner: asyncpg.Connection, database: str
) -> None:
    sealed = Vault("another secret of 32 characters..", is_sealing=True).seal("whsec_1")
    await owner.execute(
        "INSERT INTO whatsapp_sessions (wasender_session_id, name, phone_number, webhook_secret)"
        " VALUES (7, 'Shop', '+1555', $1)",
        sealed,
    )
    found = await refused(terminal, {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET})

    assert found["secret"][0] == "FAIL"
    assert "encrypted with another GATEWAY_SECRET" in found["secret"][1]
    assert found["clock"][0] == "ok"


async def test_a_data_folder_that_is_a_file_is_a_finding(terminal: Terminal, database: str) -> None:
    place = terminal.folder / "taken"
    place.write_text("")
    env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET, "GATEWAY_DATA_DIR": str(place)}

    found = await refused(terminal, env)
    assert found["data folder"][0] == "FAIL"
    assert "cannot be written to by this user" in found["data folder"][1]


async def test_a_server_that_takes_no_writes_is_a_finding_and_ends_a_start_with_the_same_sentence(
    terminal: Terminal, owner: asyncpg.Connection, database: str
) -> None:
    name = urlsplit(database).path[1:]
    await owner.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    env = {"DATABASE_URL": database, "GATEWAY_SECRET": SECRET}

    found = lines_of(await terminal.run("doctor", env=env))
    ended = await terminal.run("serve", "--port", "0", env=env)

    assert found["server"][0] == "FAIL"
    assert "switch it off, or set DATABASE_URL to the primary" in found["server"][1]
    assert found["server"][1] in ended.complaint()


class OldServer:
    """Answers as a server of that version does to the first questions."""

    def __init__(self, version: int, *, is_standby: bool = False) -> None:
        self._answers = {"server_version_num": str(version), "pg_is_in_recovery": is_standby, "": "origin"}

    async def fetchval(self, statement: str) -> object:
        return next(answer for name, answer in self._answers.items() if name in statement)

    def terminate(self) -> None:
        """It is never silent."""

    async def fetchrow(self, statement: str, *_: object) -> None:
        raise asyncpg.UndefinedColumnError("column does not exist\nHINT: none")

    fetch = fetchrow


@pytest.mark.parametrize(
    ("server", "says"),
    [
        (OldServer(130021), "This is PostgreSQL 13, and the gateway needs 15 or newer"),
        (OldServer(140013), "This is PostgreSQL 14, and the gateway needs 15 or newer"),
        (OldServer(160004, is_standby=True), "read-only standby"),
    ],
)
async def test_a_server_that_cannot_be_used_is_named_and_what_it_cannot_answer_is_one_line(
    server: OldServer, says: str
) -> None:
    connection: Any = server
    found = {finding.subject: finding.says async for finding in database_findings(connection)}

    assert says in found["server"]
    assert found["row security"].startswith("This could not be looked at: ")
    assert all("\n" not in sentence for sentence in found.values())
