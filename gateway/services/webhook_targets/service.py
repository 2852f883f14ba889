"""Managing webhook targets, for admins of all sessions or of those that a target has."""

import base64
import secrets
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any

from gateway.domain.access import Act, Principal
from gateway.domain.errors import Forbidden, Invalid, NotFound
from gateway.domain.networks import Network
from gateway.domain.webhook_targets import Mode, check_url, read_events
from gateway.services.auth.claims import sessions_claim
from gateway.services.webhook_targets.ports import DeliveryRow, NewTarget, State, Target, TargetStore

MOST = 100
"""Targets of one gateway."""
_SECRET_BYTES = 32

Note = Callable[[str, Target, Principal], Awaitable[None]]
"""(what was done, the target, who did it) → a row of the access log."""


class WebhookTargets:
    """Adds, changes and removes targets, and looks at their deliveries."""

    def __init__(
        self, store: TargetStore, networks: Sequence[Network], changed: Callable[[], None], note: Note
    ) -> None:
        """`changed` hears of every change, so that this gateway does not look for it seconds later."""
        self._store = store
        self._networks = tuple(networks)
        self._changed = changed
        self._note = note

    async def all(self, by: Principal) -> list[Target]:
        """The targets that this admin may manage."""
        by.require(Act.MANAGE)
        return [target for target in await self._store.all() if _may_manage(by, target.sessions)]

    async def add(self, fields: dict[str, Any], by: Principal) -> tuple[Target, str]:
        """The new target and its secret, which is shown this once. Raises Invalid, Forbidden."""
        by.require(Act.MANAGE)
        wish = self._read(fields, by)
        if "url" not in wish:
            raise Invalid("`url` is missing.", details={"field": "url"})
        if len(await self._store.all()) >= MOST:
            raise Invalid(f"There are {MOST} targets already, and no more. Delete one first.")
        sessions = wish["sessions"] if "sessions" in wish else _own_sessions(by)
        mode: Mode = wish.get("mode", "standard")
        _check_mode(mode, by)
        secret = new_secret()
        new = NewTarget(wish["url"], sessions, wish.get("events"), mode, by.sub)
        target = await self._store.add(new, secret)
        await self._note("webhook_target_added", target, by)
        self._changed()
        return target, secret

    async def change(
        self, target_id: int, fields: dict[str, Any], by: Principal
    ) -> tuple[Target, str | None]:
        """The target as it is now, and its secret if that is a new one. Raises NotFound, Invalid, Forbidden."""
        before = await self._managed(target_id, by)
        wish = self._read(fields, by)
        secret = new_secret() if wish.pop("rotate_secret", False) else None
        _check_mode(wish.get("mode", before.mode), by)
        paused = wish.pop("paused", None)
        if secret is not None:
            wish["secret"] = secret
        if paused:
            wish["paused_reason"] = before.paused_reason or "An admin has paused it."
        elif paused is False or (before.paused_reason and wish.keys() & {"url", "secret"}):
            wish["paused_reason"] = None
        if not wish:
            return before, None
        target = await self._store.change(target_id, wish)
        if target is None:
            raise NotFound(f"There is no webhook target {target_id}.")
        await self._note("webhook_target_changed", target, by)
        self._changed()
        return target, secret

    async def delete(self, target_id: int, by: Principal) -> None:
        """Removes a target, with what waits for it."""
        target = await self._managed(target_id, by)
        await self._store.delete(target_id)
        await self._note("webhook_target_deleted", target, by)
        self._changed()

    async def deliveries(
        self, target_id: int, by: Principal, state: State | None, limit: int, before: int | None
    ) -> list[DeliveryRow]:
        """What is on its way, what was taken lately, and dead letters; the newest first."""
        await self._managed(target_id, by)
        return await self._store.deliveries(target_id, state, limit, before)

    async def redrive(self, target_id: int, ids: Collection[int] | None, by: Principal) -> int:
        """Sends dead letters again, all or those, and resumes a paused target; how many."""
        target = await self._managed(target_id, by)
        count = await self._store.redrive(target_id, ids)
        await self._note("webhook_target_redriven", target, by)
        self._changed()
        return count

    async def _managed(self, target_id: int, by: Principal) -> Target:
        by.require(Act.MANAGE)
        target = await self._store.target(target_id)
        if target is None or not _may_manage(by, target.sessions):
            raise NotFound(f"There is no webhook target {target_id}.")
        return target

    def _read(self, fields: dict[str, Any], by: Principal) -> dict[str, Any]:
        """The columns that the fields mean; only what is said. Raises Invalid, and Forbidden for foreign sessions."""
        wish = dict(fields)
        if "url" in wish:
            wish["url"] = check_url(wish["url"], self._networks)
        if "events" in wish:
            wish["events"] = read_events(wish["events"])
        if "sessions" in wish:
            chosen = sessions_claim(wish["sessions"])
            wish["sessions"] = None if chosen is None else tuple(sorted(chosen))
            if not _may_manage(by, wish["sessions"]):
                raise Forbidden("You cannot give a target sessions that you do not have yourself.")
        return wish


def new_secret() -> str:
    """A secret as Standard Webhooks writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def _may_manage(by: Principal, sessions: Collection[int] | None) -> bool:
    return by.sessions is None or (sessions is not None and all(map(by.covers, sessions)))


def _own_sessions(by: Principal) -> tuple[int, ...] | None:
    return None if by.sessions is None else tuple(sorted(by.sessions))


def _check_mode(mode: Mode, by: Principal) -> None:
    """Raises Invalid for the raw mode, which this version does not deliver yet."""
    if mode == "raw":
        raise Invalid("The mode raw is not there yet. Use standard.", details={"field": "mode"})
