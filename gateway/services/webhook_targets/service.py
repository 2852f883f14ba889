"""Managing webhook targets, for admins of all sessions or of those that a target has."""

import base64
import secrets
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.domain.access import Act, Principal
from gateway.domain.errors import Forbidden, Invalid, NotFound
from gateway.domain.networks import Network
from gateway.domain.webhook_targets import Answer, Mode, check_url, read_events
from gateway.services.auth.claims import sessions_claim
from gateway.services.webhook_targets.letters import raw_test, standard_test
from gateway.services.webhook_targets.ports import (
    DeliveryRow,
    Keys,
    NewTarget,
    Receiver,
    State,
    Target,
    TargetStore,
)
from gateway.services.webhook_targets.trail import TargetTrail

MOST = 100
"""Targets of one gateway."""
_SECRET_BYTES = 32


class WebhookTargets:
    """Adds, changes and removes targets, and looks at their deliveries."""

    def __init__(
        self,
        store: TargetStore,
        networks: Sequence[Network],
        trail: TargetTrail,
        changed: Callable[[], None],
        receiver: Receiver,
        keys: Keys,
    ) -> None:
        """`changed` hears of every change, so that this gateway does not look for it seconds later."""
        self._store = store
        self._networks = tuple(networks)
        self._trail = trail
        self._changed = changed
        self._receiver = receiver
        self._keys = keys

    async def all(self, by: Principal) -> list[Target]:
        """The targets that this admin may manage."""
        by.require(Act.MANAGE)
        return [target for target in await self._store.all() if _may_manage(by, target.sessions, target.mode)]

    async def add(self, fields: dict[str, Any], by: Principal) -> tuple[Target, str]:
        """The new target and its secret, which is shown this once. Raises Invalid, Forbidden."""
        by.require(Act.MANAGE)
        mode: Mode = fields.get("mode", "standard")
        wish = self._read(fields, mode, by)
        if "url" not in wish:
            raise Invalid("`url` is missing.", details={"field": "url"})
        if len(await self._store.all()) >= MOST:
            raise Invalid(f"There are {MOST} targets already, and no more. Delete one first.")
        sessions = wish["sessions"] if "sessions" in wish else _own_sessions(by)
        secret = new_secret()
        new = NewTarget(wish["url"], sessions, wish.get("events"), mode, by.sub)
        target = await self._store.add(new, secret)
        self._changed()
        await self._trail.note("webhook_target_added", target, by)
        if mode == "raw":
            await self._trail.handed_out(target, by)
        return target, secret

    async def change(
        self, target_id: int, fields: dict[str, Any], by: Principal
    ) -> tuple[Target, str | None]:
        """The target as it is now, and its secret if that is a new one. Raises NotFound, Invalid, Forbidden."""
        before = await self._managed(target_id, by)
        mode: Mode = fields.get("mode", before.mode)
        wish = self._read(fields, mode, by)
        if mode != before.mode and "events" not in wish:
            read_events("*" if before.events is None else before.events, mode)
        secret = new_secret() if wish.pop("rotate_secret", False) else None
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
        self._changed()
        await self._trail.note("webhook_target_changed", target, by, changed=sorted(wish))
        if target.mode == "raw" and wish.keys() & {"url", "sessions", "mode"}:
            await self._trail.handed_out(target, by)
        return target, secret

    async def delete(self, target_id: int, by: Principal) -> None:
        """Removes a target, with what waits for it."""
        target = await self._managed(target_id, by)
        await self._store.delete(target_id)
        self._changed()
        await self._trail.note("webhook_target_deleted", target, by)

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
        self._changed()
        await self._trail.note("webhook_target_redriven", target, by)
        return count

    async def test(self, target_id: int, by: Principal) -> Answer:
        """What the receiver says to a webhook that says nothing: made at once, and once, also while paused."""
        target = await self._managed(target_id, by)
        now = datetime.now(UTC)
        if target.mode == "raw":
            session_id = target.sessions[0] if target.sessions else await self._store.some_session()
            keys = None if session_id is None else await self._keys(session_id)
            if keys is None or not keys.api_key or not keys.webhook_secret:
                raise Invalid(
                    "There is no session whose key and secret are known here: refresh it, then try again."
                )
            letter = raw_test(keys, now)
        else:
            signers = await self._store.secrets(target_id)
            if not signers:
                raise Invalid("The secret of this target is lost: make a new one, then try again.")
            letter = standard_test(signers, now)
        answer = await self._receiver.post(target.url, letter.body, letter.headers)
        await self._trail.note("webhook_target_tested", target, by)
        return answer

    async def _managed(self, target_id: int, by: Principal) -> Target:
        by.require(Act.MANAGE)
        target = await self._store.target(target_id)
        if target is None or not _may_manage(by, target.sessions, target.mode):
            raise NotFound(f"There is no webhook target {target_id}.")
        return target

    def _read(self, fields: dict[str, Any], mode: Mode, by: Principal) -> dict[str, Any]:
        """The columns that the fields mean; only what is said. Raises Invalid, and Forbidden for what the admin may
        not hand on."""
        wish = dict(fields)
        if mode == "raw" and by.sessions is not None:
            raise Forbidden(
                "A target in raw mode gets keys and secrets: only an admin of all sessions sets one up."
            )
        if "url" in wish:
            wish["url"] = check_url(wish["url"], self._networks)
        if "events" in wish:
            wish["events"] = read_events(wish["events"], mode)
        if "sessions" in wish:
            chosen = sessions_claim(wish["sessions"])
            wish["sessions"] = None if chosen is None else tuple(sorted(chosen))
            if not _may_manage(by, wish["sessions"], mode):
                raise Forbidden("You cannot give a target sessions that you do not have yourself.")
        return wish


def new_secret() -> str:
    """A secret as Standard Webhooks writes it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def _may_manage(by: Principal, sessions: Collection[int] | None, mode: Mode) -> bool:
    if by.sessions is None:
        return True
    return mode != "raw" and sessions is not None and all(map(by.covers, sessions))


def _own_sessions(by: Principal) -> tuple[int, ...] | None:
    return None if by.sessions is None else tuple(sorted(by.sessions))
