"""What a shop's tools took from under the gateway is made again: triggers, columns and indexes of tables that were
rebuilt, restored with their triggers off, or changed by hand.

Rows that were written meanwhile have no offset. So the streams get new epochs, and every client loads again.
"""

import re
from collections.abc import Callable, Sequence

import asyncpg

from gateway.domain.triggers import TriggerFault, explain_faults
from gateway.postgres.migrations import adoption
from gateway.postgres.migrations.files import Migration
from gateway.postgres.triggers import read_faults

_ADOPTION = re.compile(r"^SELECT gateway\.adopt_v1\(.*?\]\);$", re.MULTILINE | re.DOTALL)
_TABLE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(public\.\w+)")


async def find_faults(connection: asyncpg.Connection) -> list[TriggerFault]:
    """What has to be repaired; nothing in a database that an older gateway migrated."""
    if await connection.fetchval("SELECT to_regprocedure('gateway.trigger_faults_v1()') IS NULL"):
        return []
    return await read_faults(connection)


async def repair(
    connection: asyncpg.Connection,
    migrations: Sequence[Migration],
    faults: Sequence[TriggerFault],
    report: Callable[[str], None],
) -> None:
    """Within a transaction: makes tables, columns and triggers again, and gives the streams new epochs."""
    gone = {fault.table for fault in faults if fault.fault == "table_missing"}
    for migration in migrations:
        if gone & set(_TABLE.findall(migration.text)):
            await connection.execute(migration.text)
    await adoption.check_tables(connection)
    if gone or any(fault.fault == "column_missing" for fault in faults):
        # A table that lacks nothing is neither changed nor locked.
        for migration in migrations:
            for statement in _ADOPTION.findall(migration.text):
                await connection.execute(statement)
    await connection.execute("SELECT gateway.repair_triggers_v1()")
    left = await read_faults(connection)
    if left:
        report((explain_faults(left) or "").partition(";")[0] + "; this could not be repaired.")
    if left == list(faults):
        return
    await connection.execute("SELECT gateway.renew_epochs_v1()")
    report(f"{(explain_faults(faults) or '').partition(':')[0]}: repaired.")
    report("Rows may have been written meanwhile: every browser loads its inbox again.")


async def note_triggers(connection: asyncpg.Connection) -> None:
    """Within the transaction of a migration: its triggers are what has to be there from now on."""
    if await connection.fetchval("SELECT to_regprocedure('gateway.note_triggers_v1()') IS NOT NULL"):
        await connection.execute("SELECT gateway.note_triggers_v1()")


async def missing_indexes(connection: asyncpg.Connection) -> set[str]:
    """Names of our indexes that are no longer there."""
    rows = await connection.fetch(
        "SELECT o.name FROM gateway.owned_objects AS o"
        " WHERE o.kind = 'index' AND to_regclass(format('public.%I', o.name)) IS NULL"
        " AND to_regclass(format('public.%I', o.tbl)) IS NOT NULL"
    )
    return {row["name"] for row in rows}
