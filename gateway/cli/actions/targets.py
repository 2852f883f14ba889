"""What `gateway targets` does. Running gateways hear of each change at once."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from gateway.cli.actions.database import open_tables
from gateway.cli.actions.people import operator
from gateway.cli.console import out
from gateway.domain.errors import ConfigError, GatewayError, Invalid
from gateway.domain.networks import network_of
from gateway.domain.session import iso_utc
from gateway.domain.webhook_targets import told
from gateway.postgres.auth.people import PeopleTable
from gateway.postgres.sessions.audit_log import AuditLogTable
from gateway.postgres.sessions.sessions import SessionTable
from gateway.postgres.webhook_targets.targets import TargetTable
from gateway.runtime.target_client import TargetClient
from gateway.services.auth.access_log import AccessLog
from gateway.services.webhook_targets.ports import STATES, DeliveryRow, Target
from gateway.services.webhook_targets.service import WebhookTargets
from gateway.services.webhook_targets.trail import TargetTrail
from gateway.settings import Settings


async def list_all(settings: Settings) -> None:
    """Prints every target on a line."""
    async with _opened(settings) as targets:
        found = await targets.all(operator())
    for target in found:
        out.print(_line(target))
    if not found:
        out.print("There is no target yet. Add one with `gateway targets add URL`.")


async def add(settings: Settings, fields: dict[str, Any]) -> None:
    """Adds a target. Raises ConfigError for fields that cannot be meant."""
    async with _opened(settings) as targets:
        target, secret = await targets.add(fields, operator())
    out.print(f"Target {target.id} is sent what happens from now on.")
    if target.mode == "standard":
        _say_secret(secret)
    else:
        out.print("It is sent what WasenderAPI sends, with the key and the secret of each session.")


async def remove(settings: Settings, target_id: int) -> None:
    """Removes a target."""
    async with _opened(settings) as targets:
        await targets.delete(target_id, operator())
    out.print(f"Target {target_id} is removed, with what waited for it.")


async def change(settings: Settings, target_id: int, fields: dict[str, Any]) -> None:
    """Changes a target, and prints how it stands now."""
    async with _opened(settings) as targets:
        target, secret = await targets.change(target_id, fields, operator())
    out.print(_line(target))
    if secret is not None:
        _say_secret(secret)
        out.print("The former secret signs too for 24 hours.")


async def test(settings: Settings, target_id: int) -> None:
    """Sends a test. Raises GatewayError if it is not taken."""
    async with _opened(settings) as targets:
        answer = await targets.test(target_id, operator())
    if answer.status is None or not 200 <= answer.status < 300:
        raise GatewayError(f"Target {target_id} did not take the test: {told(answer)}")
    out.print(f"Target {target_id} took the test: {told(answer)}")


async def deliveries(settings: Settings, target_id: int, state: str, limit: int) -> None:
    """Prints deliveries, the newest first."""
    chosen = next((word for word in STATES if word == state), None)
    if chosen is None and state != "all":
        raise ConfigError(f"{state!r} is no state. There are {', '.join(STATES)}, and all.")
    async with _opened(settings) as targets:
        rows = await targets.deliveries(target_id, operator(), chosen, limit, None)
    for row in rows:
        out.print(_delivery(row))
    if not rows:
        out.print("There is nothing of that kind.")


async def redrive(settings: Settings, target_id: int, ids: list[int] | None) -> None:
    """Sends dead letters again, all or those."""
    async with _opened(settings) as targets:
        count = await targets.redrive(target_id, ids, operator())
    out.print(f"{count} dead letters are sent again.")


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[WebhookTargets]:
    async with AsyncExitStack() as stack:
        pool, vault = await open_tables(settings, stack)
        sessions, networks = (
            SessionTable(pool, vault),
            [network_of(item) for item in settings.target_networks],
        )
        client = TargetClient(networks)
        await client.open()
        stack.push_async_callback(client.close)
        trail = TargetTrail(AccessLog(PeopleTable(pool)), AuditLogTable(pool).log, sessions.known_ids)
        try:
            yield WebhookTargets(
                TargetTable(pool, vault), networks, trail, lambda: None, client, sessions.secrets
            )
        except Invalid as error:
            raise ConfigError(error.message) from None


def _say_secret(secret: str) -> None:
    out.print(f"Its secret, shown this once: {secret}")


def _line(target: Target) -> str:
    sessions = (
        "all sessions" if target.sessions is None else "sessions " + ", ".join(map(str, target.sessions))
    )
    events = "all events" if target.events is None else ", ".join(target.events)
    paused = "" if target.paused_reason is None else f"  paused: {target.paused_reason}"
    last = f"  last taken {iso_utc(target.delivered_at)}" if target.delivered_at else "  nothing taken yet"
    waits = f"  {target.waiting} waiting, {target.dead} dead"
    return f"{target.id}  {target.mode}  {target.url}  {sessions}  {events}{waits}{last}{paused}"


def _delivery(row: DeliveryRow) -> str:
    tries = f"  {row.failures} failures" if row.failures else ""
    answer = f"  {row.answer}" if row.answer else ""
    return (
        f"{row.id}  {iso_utc(row.made_at)}  session {row.session_id}  {row.event}  {row.state}{tries}{answer}"
    )
