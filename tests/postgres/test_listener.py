"""The listening connection: bells come in; when they cannot, it says so, and comes back by itself."""

import asyncio

import asyncpg
import pytest

from gateway.domain.backoff import Backoff
from gateway.domain.errors import ConfigError, StoreUnavailable
from gateway.embedded_postgres.server import EmbeddedPostgres
from gateway.postgres.connection.listener import APPLICATION
from tests.postgres.ears import Ears, comes_true, end_backend, listening, silently_listening
from tests.postgres.unfinished import TROUBLES, Trouble
from tests.postgres.wire import wire_to
from tests.postgres.writers import insert_message, insert_session

IMPATIENT_S = 0.3
"""For one statement, where the wire is cut."""


async def test_both_bells_come_in_with_what_they_name(database: str, connection: asyncpg.Connection) -> None:
    async with listening(database) as ears:
        assert ears.log == ["up"]
        assert ears.listener.is_up
        await insert_message(connection, 12)
        await insert_session(connection, 7)

        await ears.hears("message 12")
        await ears.hears("session 7")


async def test_a_change_rolled_back_rings_nothing(database: str, connection: asyncpg.Connection) -> None:
    async with listening(database) as ears:
        transaction = connection.transaction()
        await transaction.start()
        await insert_message(connection, 12)
        await transaction.rollback()
        await insert_message(connection, 13)
        await ears.hears("message 13")

        assert "message 12" not in ears.log


async def test_a_killed_backend_is_noticed_at_once_and_replaced(
    database: str, connection: asyncpg.Connection
) -> None:
    async with listening(database, probe_s=60) as ears:
        first = await ears.backend()
        await end_backend(connection, first)
        await ears.hears("down")
        assert not ears.listener.is_up
        with pytest.raises(StoreUnavailable):
            await ears.listener.statement("SELECT 1")

        await ears.hears("up", 2)
        assert await ears.backend() != first
        await insert_message(connection, 12)
        await ears.hears("message 12")
        assert ears.log == ["up", "down", "up", "message 12"]


async def test_what_is_committed_while_it_is_down_is_looked_for_when_it_is_up(
    database: str, connection: asyncpg.Connection
) -> None:
    async with listening(database, probe_s=60) as ears:
        await end_backend(connection, await ears.backend())
        await ears.hears("down")
        await insert_message(connection, 12)
        await ears.hears("up", 2)

        # Bells of the meantime are gone; `up` is the word to look, and comes after LISTEN.
        await insert_message(connection, 13)
        await ears.hears("message 13")


async def test_a_wire_that_falls_silent_is_noticed_by_the_probe(
    database: str, connection: asyncpg.Connection
) -> None:
    async with wire_to(database) as wire, listening(wire.dsn, statement_s=IMPATIENT_S) as ears:
        wire.is_silent = True
        await ears.hears("down")
        wire.is_silent = False
        await ears.hears("up", 2)

        await insert_message(connection, 12)
        await ears.hears("message 12")


async def test_bells_that_stop_coming_are_noticed_though_statements_still_work(database: str) -> None:
    async with wire_to(database) as wire, listening(wire.dsn, statement_s=IMPATIENT_S) as ears:
        wire.is_stale = True
        await ears.hears("down")

        assert wire.swallowed
        wire.is_stale = False
        await ears.hears("up", 2)


async def test_a_host_whose_bells_never_come_back_is_refused_in_one_sentence(
    database: str, connection: asyncpg.Connection
) -> None:
    async with wire_to(database) as wire:
        wire.is_stale = True
        # Statements are answered within that, on a crowded machine too.
        ears = Ears(wire.dsn, 5, statement_s=2.0)
        with pytest.raises(ConfigError, match="GATEWAY_LISTEN_URL") as refused:
            await ears.listener.open()

        assert "\n" not in refused.value.message
        assert ears.log == []
        left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()"

        async def is_gone() -> bool:
            return bool(await connection.fetchval(left, APPLICATION) == 0)

        await comes_true(is_gone)


async def test_a_host_that_cannot_be_reached_is_refused_in_one_sentence(postgres: EmbeddedPostgres) -> None:
    for dsn, word in (
        ("postgresql://somebody:hidden@127.0.0.1:1/there", "127.0.0.1:1"),
        (postgres.dsn_of("no_such_database"), "database"),
    ):
        with pytest.raises(ConfigError, match=word) as refused:
            await Ears(dsn, 5).listener.open()
        assert "hidden" not in refused.value.message


async def test_a_database_that_is_away_for_longer_is_tried_again_and_again(
    database: str, connection: asyncpg.Connection
) -> None:
    async with (
        wire_to(database) as wire,
        listening(wire.dsn, probe_s=60, backoff=Backoff(0.01, 0.01)) as ears,
    ):
        wire.still_refuses = 3
        await end_backend(connection, await ears.backend())
        await ears.hears("up", 2)

        assert wire.still_refuses == 0
        assert ears.log == ["up", "down", "up"], "it is down once, however often it tries"


async def test_a_statement_that_hangs_ends_the_connection_instead_of_making_it_deaf(database: str) -> None:
    async with listening(database, probe_s=60, statement_s=IMPATIENT_S) as ears:
        with pytest.raises(TimeoutError):
            await ears.listener.statement("SELECT pg_sleep(60)")

        await ears.hears("down")
        await ears.hears("up", 2)


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_statement_that_is_not_executed_leaves_the_connection_hearing(
    database: str, connection: asyncpg.Connection, trouble: Trouble
) -> None:
    async with silently_listening(database) as ears:
        await trouble(ears.listener.statement)
        await connection.execute("SELECT pg_notify('whatsapp_incoming_messages', '12')")

        await ears.hears("message 12")
        assert "down" not in ears.log


async def test_statements_wait_for_one_another(database: str) -> None:
    async with listening(database) as ears:
        answers = await asyncio.gather(*(ears.listener.statement("SELECT $1::int", n) for n in range(20)))

        assert answers == list(range(20))


async def test_a_closed_listener_leaves_no_row_behind(database: str, connection: asyncpg.Connection) -> None:
    async with listening(database):
        assert await connection.fetchval("SELECT count(*) FROM gateway.gateways") == 1

    assert await connection.fetchval("SELECT count(*) FROM gateway.gateways") == 0


async def test_a_connection_that_is_in_the_middle_of_something_is_let_go_of_all_the_same(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(*_: object) -> None:
        raise asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress")

    async with listening(database):
        monkeypatch.setattr(asyncpg.Connection, "execute", busy)


async def test_a_bell_that_the_receiver_chokes_on_does_not_make_it_deaf(
    database: str, connection: asyncpg.Connection
) -> None:
    async with listening(database) as ears:
        for payload in ("", "x" * 7999, "٣", "'; --"):
            await connection.execute("SELECT pg_notify('whatsapp_incoming_messages', $1)", payload)

        await ears.hears("message '; --")
        assert ears.log[1:] == ["message ", "message " + "x" * 7999, "message ٣", "message '; --"]
