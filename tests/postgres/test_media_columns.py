"""The column `media` in a shop's tables: added where it is missing, and left alone where it is the shop's own."""

import asyncpg
import pytest

from gateway.domain.errors import ConfigError
from gateway.postgres.migrations.runner import migrate


@pytest.mark.parametrize("kind", ["text", "bytea", "int[]", "jsonb", "varchar(10)", "json"])
async def test_a_column_of_that_name_is_the_shops(shop_database: str, kind: str) -> None:
    connection = await asyncpg.connect(shop_database)
    try:
        await connection.execute(f"ALTER TABLE whatsapp_incoming_messages ADD COLUMN media {kind}")
        before = await connection.fetch("SELECT id, media FROM whatsapp_incoming_messages ORDER BY id")
        await migrate(shop_database, report=lambda _: None)
        await migrate(shop_database, report=lambda _: None)

        await receive(connection, "KEY1")

        ours = "media" if kind == "jsonb" else "gateway_media"
        told = await connection.fetchval(
            f"SELECT {ours} ->> 'state' FROM whatsapp_incoming_messages WHERE wa_key_id = 'KEY1'"
        )
        assert told == "pending"
        assert await connection.fetchval("SELECT state FROM gateway.media") == "pending"
        assert await connection.fetchval("SELECT source ->> 'url' FROM gateway.media") == "https://x"
        item = await connection.fetchval("SELECT id FROM gateway.media")
        await connection.execute("SELECT gateway.tell_media_v1('1s', $1, '{\"state\": \"lost\"}')", item)
        told = await connection.fetchval(
            f"SELECT {ours} ->> 'state' FROM whatsapp_incoming_messages WHERE wa_key_id = 'KEY1'"
        )
        assert told == "lost"
        after = await connection.fetch(
            "SELECT id, media FROM whatsapp_incoming_messages WHERE wa_key_id IS DISTINCT FROM 'KEY1' ORDER BY id"
        )
        assert after == before
    finally:
        await connection.close()


async def test_both_names_taken_are_refused_in_words_and_nothing_is_changed(shop_database: str) -> None:
    connection = await asyncpg.connect(shop_database)
    try:
        await connection.execute(
            "ALTER TABLE whatsapp_incoming_messages ADD COLUMN media text, ADD COLUMN gateway_media int[]"
        )
        with pytest.raises(ConfigError, match="rename one of them"):
            await migrate(shop_database, report=lambda _: None)
        assert await connection.fetchval("SELECT to_regnamespace('gateway')") is None
    finally:
        await connection.close()


async def receive(connection: asyncpg.Connection, key: str) -> None:
    facts = (
        '{"id": "6f1c9b1e-9d0c-4a57-8f0e-0c9f0f3f6f11", "state": "pending", "kind": "image", "mime": "image/jpeg",'
        ' "name": null, "bytes": 5, "source": {"url": "https://x"}}'
    )
    await connection.execute(
        """
        SELECT FROM gateway.receive_v3('1s', ARRAY[0], ARRAY[$1], ARRAY[12::bigint], ARRAY['1555@s.whatsapp.net'],
            ARRAY['1555'], ARRAY[NULL]::text[], ARRAY[NULL]::text[], ARRAY[NULL]::text[], ARRAY['image'],
            ARRAY['https://x'], ARRAY[now()], ARRAY['{}'::jsonb], ARRAY[false], ARRAY[0], ARRAY[$2::jsonb])
        """,
        key,
        facts,
    )
