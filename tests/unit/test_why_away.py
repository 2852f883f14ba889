"""Why Postgres is away: half a sentence that names the cause and no address, and /readyz carries it."""

import socket

import asyncpg
import pytest

from gateway.http.health import judge_readiness
from gateway.postgres.connection.away import why_away


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (asyncpg.ReadOnlySQLTransactionError("no"), "it is read-only, as a standby is"),
        (asyncpg.TooManyConnectionsError("no"), "raise max_connections"),
        (asyncpg.InvalidPasswordError("for shop at db.example"), "does not accept our user and password"),
        (asyncpg.InvalidCatalogNameError("no"), "the database is not there"),
        (asyncpg.AdminShutdownError("no"), "it is restarting"),
        (ConnectionRefusedError(111, "10.0.0.7"), "nothing listens at its address"),
        (FileNotFoundError(2, "/run/postgresql"), "nothing listens at its address"),
        (socket.gaierror(-2, "db.example"), "its host is not known"),
        (TimeoutError(), "it does not answer"),
        (ConnectionResetError(), "the connection to it broke"),
        (asyncpg.InterfaceError("closed"), "the connection to it broke"),
    ],
)
def test_what_readyz_says_names_the_cause_and_no_address(error: Exception, says: str) -> None:
    why = why_away(error)
    is_ready, said = judge_readiness(is_draining=False, can_commit=False, spooled=3, complaint=None, away=why)

    assert says in why
    assert not {"db.example", "10.0.0.7", "/run/postgresql"} & set(why.split())
    assert (is_ready, said["status"], said["spooled"]) == (True, "degraded", 3)
    assert said["why"] == (
        f"Postgres does not take anything at the moment: {why}. Webhooks are kept on the gateway's disk until it does."
    )
