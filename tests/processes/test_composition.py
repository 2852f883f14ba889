"""The composition root: everything that is built is connected, runs and ends."""

import asyncio
from dataclasses import fields
from pathlib import Path

from gateway.runtime.gateway import open_gateway
from gateway.services.signals import Signals
from tests.launcher.running import Running
from tests.launcher.settings import settings_for

WORKS = {
    "access_log", "contacts", "conversation_list", "connections", "early_changes", "feed", "ingest", "linking",
    "listener", "logins", "monitor", "numbering", "replay", "retention", "revocations", "staleness", "states",
    "triggers",
}  # fmt: skip


def test_every_signal_of_a_gateway_is_heard(gateway: Running) -> None:
    signals = gateway.gateway.signals

    assert [field.name for field in fields(Signals) if not getattr(signals, field.name).is_heard] == []


def test_every_part_with_a_run_has_a_task_of_its_name(gateway: Running) -> None:
    tasks = gateway.gateway.tasks

    assert set(tasks) >= WORKS
    assert "idle_monitor" not in tasks
    assert not any(task.done() for task in tasks.values())


async def test_a_gateway_that_may_let_its_database_sleep_runs_the_idle_monitor_too(
    database: str, tmp_path: Path
) -> None:
    async with open_gateway(settings_for(database, tmp_path, probe_s=0), "http://127.0.0.1:1") as gateway:
        assert set(gateway.tasks) >= {*WORKS, "idle_monitor"}


async def test_when_the_block_ends_no_task_of_the_gateway_is_left(database: str, tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with open_gateway(settings_for(database, tmp_path), "http://127.0.0.1:1"):
        assert asyncio.all_tasks() > before

    assert asyncio.all_tasks() <= before
