"""Leases: one holder in the cluster, lost with the ears, and taken from whoever is frozen."""

import uuid

import asyncpg
import pytest

from gateway.domain.errors import StoreUnavailable
from gateway.postgres.connection.listener import FROZEN_AFTER_S
from gateway.postgres.connection.pool import connect_direct
from tests.postgres.ears import Ears, comes_true, end_backend, listening, seen_ago


async def acquired(ears: Ears, session_id: int) -> None:
    """Returns once the lease could be had."""
    await comes_true(lambda: ears.listener.acquire(session_id))


async def test_only_one_gateway_can_have_a_lease(database: str) -> None:
    async with listening(database) as one, listening(database) as other:
        assert await one.listener.acquire(7)

        assert not await other.listener.acquire(7)
        assert await other.listener.acquire(8), "another session"


async def test_whoever_has_a_lease_may_ask_again_and_gives_it_back_at_once(database: str) -> None:
    async with listening(database) as one, listening(database) as other:
        for _ in range(3):
            assert await one.listener.acquire(7)
        await one.listener.release(7)

        assert await other.listener.acquire(7)


async def test_giving_back_what_one_does_not_have_takes_nothing_from_others(database: str) -> None:
    async with listening(database) as one, listening(database) as other:
        assert await one.listener.acquire(7)
        await other.listener.release(7)

        assert not await other.listener.acquire(7)


async def test_a_lost_connection_frees_its_leases(database: str, connection: asyncpg.Connection) -> None:
    async with listening(database, probe_s=60) as one, listening(database) as other:
        assert await one.listener.acquire(7)
        await end_backend(connection, await one.backend())

        await acquired(other, 7)
        await one.hears("up", 2)
        assert not await one.listener.acquire(7), "it has come back without it"


async def test_without_ears_there_is_no_lease_to_be_had(
    database: str, connection: asyncpg.Connection
) -> None:
    async with listening(database, probe_s=60) as one:
        await end_backend(connection, await one.backend())
        await one.hears("down")
        with pytest.raises(StoreUnavailable):
            await one.listener.acquire(7)

        await one.listener.release(7)  # nothing to give back: no error


async def test_a_stopped_gateway_frees_its_leases(database: str) -> None:
    async with listening(database) as other:
        async with listening(database) as one:
            assert await one.listener.acquire(7)

        await acquired(other, 7)


async def test_a_frozen_peer_loses_its_backend_and_with_it_its_leases(
    database: str, connection: asyncpg.Connection
) -> None:
    frozen = Ears(database, 60)
    await frozen.listener.open()  # and does not run: it neither probes nor notices anything
    try:
        assert await frozen.listener.acquire(7)
        async with listening(database) as one:
            assert not await one.listener.acquire(7)
            await seen_ago(connection, frozen.id, FROZEN_AFTER_S + 1)

            await acquired(one, 7)
            rows = await connection.fetch("SELECT id::text FROM gateway.gateways")
            assert [row["id"] for row in rows] == [one.id]
    finally:
        await frozen.listener.close()


async def test_a_peer_that_was_seen_lately_keeps_what_it_has(
    database: str, connection: asyncpg.Connection
) -> None:
    quiet = Ears(database, 60)
    await quiet.listener.open()
    try:
        assert await quiet.listener.acquire(7)
        await seen_ago(connection, quiet.id, FROZEN_AFTER_S - 4)
        async with listening(database) as one:
            signs = {await seen(connection, one.id)}

            async def has_looked() -> bool:  # at its peers, after each of its own signs of life
                signs.add(await seen(connection, one.id))
                return len(signs) > 3

            await comes_true(has_looked)
            assert not await one.listener.acquire(7)
            assert quiet.listener.is_up
    finally:
        await quiet.listener.close()


async def seen(connection: asyncpg.Connection, gateway_id: str) -> object:
    return await connection.fetchval("SELECT seen_at FROM gateway.gateways WHERE id = $1", gateway_id)


async def test_several_frozen_peers_are_ended_together(database: str, connection: asyncpg.Connection) -> None:
    frozen = [Ears(database, 60) for _ in range(3)]
    try:
        for number, ears in enumerate(frozen, start=1):
            await ears.listener.open()
            assert await ears.listener.acquire(number)
        for ears in frozen:
            await seen_ago(connection, ears.id, FROZEN_AFTER_S + 1)
        async with listening(database) as one:
            for number in range(1, 4):
                await acquired(one, number)
    finally:
        for ears in frozen:
            await ears.listener.close()


async def test_a_number_that_somebody_else_has_now_is_left_alone(
    database: str, connection: asyncpg.Connection
) -> None:
    """Process numbers are used again: the row of a gateway long dead may name the shop's own backend."""
    shop = await connect_direct(database, name="the shop")
    try:
        await connection.execute(
            "INSERT INTO gateway.gateways (id, backend_pid, seen_at) VALUES ($1, $2, now() - interval '1 day')",
            uuid.uuid4(),
            shop.get_server_pid(),
        )

        async def is_forgotten() -> bool:
            return bool(await connection.fetchval("SELECT count(*) FROM gateway.gateways") == 1)

        async with listening(database):
            await comes_true(is_forgotten)

        assert await shop.fetchval("SELECT 1") == 1
    finally:
        await shop.close()


async def test_the_shops_own_advisory_locks_are_not_in_the_way(
    database: str, connection: asyncpg.Connection
) -> None:
    async with listening(database) as one:
        for number in (7, 8):
            await connection.execute("SELECT pg_advisory_lock($1)", number)
            await connection.execute("SELECT pg_advisory_lock($1, $2)", 0, number)

            assert await one.listener.acquire(number)


async def test_a_gateway_that_thaws_finds_its_way_back(database: str, connection: asyncpg.Connection) -> None:
    async with listening(database, probe_s=60) as thawed, listening(database) as one:
        assert await thawed.listener.acquire(7)
        await seen_ago(connection, thawed.id, FROZEN_AFTER_S + 1)
        await thawed.hears("down")
        await thawed.hears("up", 2)

        await acquired(one, 7)
        rows = await connection.fetch("SELECT id::text FROM gateway.gateways")
        assert {row["id"] for row in rows} == {one.id, thawed.id}
