"""What has been revoked, and what people may do now: a copy of the tables, kept fresh by a notification.

A token is good by its signature. What ends it before its time, or changes what it may do, stands in Postgres; every
gateway keeps a copy and reads it anew as soon as it is told of a change. Where notifications may go unheard (the
listener sleeps or is cut off), a request reads it first, at most once a second.

Lifecycle: `open` reads before anything is served; `run` reads after each notification, until it is cancelled.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from gateway.domain.access import Ground, Principal, Role
from gateway.domain.errors import GatewayError, Unauthenticated, Unavailable
from gateway.services.auth.claims import PERSON

logger = logging.getLogger(__name__)

CUT_OFF_LOOK_S = 1.0
"""How old the copy may be where notifications may go unheard."""

AGAIN_S = 0.5
"""After a read that failed."""

ENDED = "This login has been ended. Log in again."


@dataclass(frozen=True, slots=True)
class Standing:
    """What a person may do at the moment."""

    role: Role
    sessions: frozenset[int] | None
    is_disabled: bool = False


@dataclass(frozen=True, slots=True)
class AccessState:
    """`subs` maps whose tokens were revoked to when that was; `people` maps `user:<id>` to what they may do."""

    subs: Mapping[str, float] = field(default_factory=dict)
    jtis: frozenset[str] = frozenset()
    people: Mapping[str, Standing] = field(default_factory=dict)


class AccessStore(Protocol):
    """Where it is kept what was revoked."""

    async def access_state(self) -> AccessState:
        """Raises StoreUnavailable."""


class Revocations:
    """Keeps the copy fresh, and tells what a principal may do now."""

    def __init__(
        self,
        store: AccessStore,
        *,
        is_cut_off: Callable[[], bool] = lambda: False,
        on_change: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        again_s: float = AGAIN_S,
    ) -> None:
        """`is_cut_off` says whether a notification may go unheard; `on_change` is called when the copy is another."""
        self._store = store
        self._is_cut_off = is_cut_off
        self._on_change = on_change
        self._clock = clock
        self._again_s = again_s
        self._state: AccessState | None = None
        self._read_at = float("-inf")
        self._changed = asyncio.Event()
        self._reading = asyncio.Lock()

    async def open(self) -> None:
        """Reads the tables. Raises StoreUnavailable."""
        await self._read()

    def notify(self, payload: str = "") -> None:
        """Something changed. Never waits."""
        self._changed.set()

    async def run(self) -> None:
        """Reads the tables after each notification, until it is cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._read()
            except GatewayError as error:
                logger.warning("access.not_read error=%s", error)
                self._changed.set()
                await asyncio.sleep(self._again_s)

    async def look(self) -> None:
        """Reads the tables where the copy may be old. A Postgres that is away leaves what was known."""
        if not self._is_cut_off() or self._clock() - self._read_at < CUT_OFF_LOOK_S:
            return
        try:
            await self._read(since=self._read_at)
        except GatewayError as error:
            logger.warning("access.not_read error=%s", error)
            self._read_at = self._clock()  # others do not wait for the same

    async def _read(self, since: float | None = None) -> None:
        async with self._reading:
            if since is not None and self._read_at > since:
                return  # another one has, meanwhile
            begun_at = self._clock()
            state = await self._store.access_state()
            self._read_at = begun_at
            is_new = state != self._state
            self._state = state
        if is_new:
            self._on_change()

    # ------------------------------------------------------------------------------------------ questions

    def current(self, principal: Principal) -> Principal:
        """The principal with the rights it has now. Raises Unauthenticated if its login has been ended."""
        state = self._state
        if state is None:
            raise Unavailable("Logins cannot be checked yet: Postgres is away.", retry_after_s=2)
        if any(_is_revoked(ground, state) for ground in principal.grounds):
            raise Unauthenticated(ENDED)
        subs = {principal.sub, *(ground.sub for ground in principal.grounds)}
        for sub in subs if state.people else ():
            standing = state.people.get(sub) if sub.startswith(PERSON) else None
            if standing is None:
                continue
            if standing.is_disabled:
                raise Unauthenticated("This account is disabled. Ask the person who runs the gateway.")
            principal = _adjusted(principal, sub, standing)
        return principal


def _is_revoked(ground: Ground, state: AccessState) -> bool:
    if ground.jti is not None and ground.jti in state.jtis:
        return True
    before = state.subs.get(ground.sub)
    return before is not None and (ground.issued_at is None or ground.issued_at <= before)


def _adjusted(principal: Principal, sub: str, standing: Standing) -> Principal:
    """A person's own login may do what the person may now; what was made with it, no more than that."""
    if principal.login_id is not None and principal.sub == sub:
        if (principal.role, principal.sessions) == (standing.role, standing.sessions):
            return principal
        return replace(principal, role=standing.role, sessions=standing.sessions)
    return principal.capped(standing.role, standing.sessions)
