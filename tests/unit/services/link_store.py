"""The attempts' rows as Postgres keeps them, in memory and on the virtual clock."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from gateway.domain.errors import GatewayError
from gateway.domain.linking import FIRST_CODE_S, NEXT_CODE_S, Attempt
from gateway.domain.session import Heard
from tests.clock import now


class MemoryStore:
    """The attempts' rows; every change rings the bell of every gateway, the writer's too."""

    def __init__(self) -> None:
        self.rows: list[Attempt] = []
        self.statuses: dict[int, list[tuple[str, str]]] = defaultdict(list)
        self.bells: list[Callable[[Iterable[int]], None]] = []
        self.calls: Counter[str] = Counter()
        self.faults: dict[str, GatewayError] = {}
        self.bell_s = 0.001
        """How long after a change its bell rings."""
        self.answer_s = 0.0
        """How long after its bell the answer to `end` arrives."""
        self._seq: dict[int, int] = defaultdict(int)
        self._code_at: dict[int, float] = {}

    async def _call(self, name: str) -> None:
        self.calls[name] += 1
        await asyncio.sleep(0.001)
        if name in self.faults:
            raise self.faults[name]

    def newest(self, session_id: int) -> Attempt | None:
        return next((row for row in reversed(self.rows) if row.session_id == session_id), None)

    def status(self, session_id: int) -> str | None:
        known = self.statuses[session_id]
        return known[-1][0] if known else None

    def row_version(self, session_id: int) -> int:
        """Another one for each status, whoever wrote it."""
        return len(self.statuses[session_id])

    def _ring(self, session_id: int) -> None:
        for bell in self.bells:
            asyncio.get_running_loop().call_later(self.bell_s, bell, [session_id])

    def _fenced(self, session_id: int, holder: str | None) -> Attempt | None:
        row = self.newest(session_id)
        return row if row and row.running and holder in (None, row.holder) else None

    def _write(self, row: Attempt, **changes: Any) -> Attempt:
        changed = replace(row, **changes)
        self.rows[self.rows.index(row)] = changed
        self._ring(row.session_id)
        return changed

    async def begin(self, session_id: int, holder: str, actor: str) -> tuple[Attempt, bool]:
        await self._call("begin")
        row = self._fenced(session_id, None)
        if row is not None:
            return row, False
        row = Attempt(len(self.rows) + 1, session_id, holder, actor, started_at=now(), moved_at=now())
        self.rows.append(row)
        self._ring(session_id)
        return row, True

    async def current(self, session_id: int) -> Attempt | None:
        await self._call("current")
        return self.newest(session_id)

    async def running(self) -> list[Attempt]:
        await self._call("running")
        return [row for row in self.rows if row.running]

    async def take(self, session_id: int, holder: str) -> Attempt | None:
        await self._call("take")
        row = self._fenced(session_id, None)
        return self._write(row, holder=holder) if row else None

    async def record_code(
        self, session_id: int, code: str, holder: str | None, *, as_of: float | None = None
    ) -> Attempt | None:
        asked_at = now() if as_of is None else as_of
        await self._call("record_code")
        row = self._fenced(session_id, holder)
        if row is None or row.code == code or self._code_at.get(row.id, 0.0) > asked_at:
            return row
        self._code_at[row.id] = asked_at
        self._seq[session_id] += 1
        return self._write(
            row,
            code=code,
            seq=self._seq[session_id],
            number=row.number + 1,
            issued_at=now(),
            expires_at=now() + (NEXT_CODE_S if row.number else FIRST_CODE_S),
            moved_at=now(),
            scanned_at=None,
        )

    async def record_status(
        self,
        session_id: int,
        status: str,
        source: str,
        holder: str | None = None,
        *,
        as_of: float | None = None,
    ) -> Heard | None:
        await self._call("record_status")
        if holder is not None and self._fenced(session_id, holder) is None:
            return None
        known = self.statuses[session_id]
        is_news = not known or known[-1][0] != status
        if is_news:
            known.append((status, source))
            self._ring(session_id)
        return Heard(is_news, False, self.row_version(session_id) if is_news else None)

    async def mark_scanned(self, session_id: int, holder: str) -> Attempt | None:
        await self._call("mark_scanned")
        row = self._fenced(session_id, holder)
        return self._write(row, scanned_at=now(), moved_at=now()) if row else None

    async def note_trouble(
        self, session_id: int, trouble: dict[str, Any] | None, holder: str
    ) -> Attempt | None:
        await self._call("note_trouble")
        row = self._fenced(session_id, holder)
        return self._write(row, trouble=trouble, trouble_at=now()) if row else None

    async def touch(self, session_id: int, holder: str) -> Attempt | None:
        await self._call("touch")
        row = self._fenced(session_id, holder)
        return self._write(row, moved_at=now()) if row else None

    async def end(
        self, session_id: int, holder: str | None, reason: str, error: dict[str, Any] | None
    ) -> bool:
        await self._call("end")
        row = self._fenced(session_id, holder)
        if row is None:
            return False
        self._write(row, ended_at=now(), reason=reason, error=error)
        await asyncio.sleep(self.answer_s)
        return True
