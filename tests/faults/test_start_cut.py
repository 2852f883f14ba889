"""Postgres goes away under a gateway that starts: at every moment that is a sentence, and the start can be repeated."""

import dataclasses
from pathlib import Path

import pytest

from gateway.domain.errors import ConfigError, DatabaseAway, StoreUnavailable
from gateway.runtime.context import DEFAULT_TIMINGS, Timings
from gateway.runtime.gateway import open_gateway
from gateway.settings import Settings
from tests.faults.proxy import Proxy
from tests.faults.server import Server
from tests.launcher.settings import NOWHERE, settings_for

URL = "http://127.0.0.1:1"
REMOTE = {**NOWHERE, "simulator": False}
PROBE = b"pg_notify($1"
MOMENTS = 16
"""So many moments, spread over the start."""


class Cutter:
    """Cuts all connections when so many pieces have passed."""

    def __init__(self, wire: Proxy) -> None:
        self._wire = wire
        self.passed = 0
        self.at: int | None = None
        wire.on_piece = self._on_piece

    def _on_piece(self, link: int, is_forth: bool, piece: bytes) -> None:
        self.passed += 1
        if self.passed == self.at:
            self._wire.cut()


async def outcome(settings: Settings, timings: Timings = DEFAULT_TIMINGS) -> str:
    try:
        async with open_gateway(settings, URL, timings):
            return "started"
    except DatabaseAway:
        return "away"
    except StoreUnavailable as error:
        return str(error) if isinstance(error, ConfigError) else "away"


async def test_connections_that_break_at_any_moment_of_the_start_are_postgres_being_away(
    server: Server, tmp_path: Path
) -> None:
    async with server.database() as name, Proxy(lambda: server.socket).running() as wire:
        settings = settings_for(server.through(wire.port, name), tmp_path, **REMOTE)
        cutter = Cutter(wire)
        async with open_gateway(settings, URL):
            pieces = cutter.passed
        outcomes = []
        for moment in range(MOMENTS):
            cutter.passed, cutter.at = 0, 1 + moment * pieces // MOMENTS
            outcomes.append(await outcome(settings))

    assert set(outcomes) <= {"away", "started"}
    assert outcomes.count("away") >= MOMENTS // 2


@pytest.mark.parametrize("trouble", ["hold", "cut"])
async def test_a_server_that_goes_away_at_the_listeners_own_notification_is_no_pooler(
    server: Server, tmp_path: Path, trouble: str
) -> None:
    async with server.database() as name, Proxy(lambda: server.socket).running() as wire:

        def strike(link: int, is_forth: bool, piece: bytes) -> None:
            if is_forth and PROBE in piece:
                getattr(wire, trouble)()

        wire.on_piece = strike
        settings = settings_for(server.through(wire.port, name), tmp_path, **REMOTE)
        timings = dataclasses.replace(DEFAULT_TIMINGS, listener_statement_s=0.5)

        assert await outcome(settings, timings) == "away"
