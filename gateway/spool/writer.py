"""The thread that writes the spool: what comes while one transaction is on its way to the disk shares the next one.

Lifecycle: runs from its making until `close`, which waits for what was handed over before.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Sequence
from typing import Any

from gateway.spool.file import Job, SpoolFile

_JOBS_AT_ONCE = 256


class SpoolWriter:
    """Runs jobs on the spool in a thread of its own, as many in one transaction as have come."""

    def __init__(self, file: SpoolFile) -> None:
        self._file = file
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[tuple[Job, asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="spool", daemon=True)
        self._thread.start()

    def put(self, job: Job) -> asyncio.Future[Any]:
        """Hands a job over, in the order of the calls. Done when it is on the disk; raises WriteRefused."""
        done: asyncio.Future[Any] = self._loop.create_future()
        self._jobs.put((job, done))
        return done

    @property
    def backlog(self) -> int:
        """Jobs that wait for the disk."""
        return self._jobs.qsize()

    def tidy(self) -> asyncio.Future[Any]:
        """Done once the writer has been idle for a moment of tidying."""
        return self.put(_nothing)

    async def close(self) -> None:
        """Returns when everything it was given has been done, and its thread has ended."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _work(self) -> None:
        goes_on = True
        while goes_on:
            taken = [self._jobs.get()]
            with contextlib.suppress(queue.Empty):
                while len(taken) < _JOBS_AT_ONCE:
                    taken.append(self._jobs.get_nowait())
            batch = [item for item in taken if item is not None]
            goes_on = len(batch) == len(taken)
            results = self._written([job for job, _ in batch])
            with contextlib.suppress(RuntimeError):  # the loop has ended before us
                self._loop.call_soon_threadsafe(_settle, [done for _, done in batch], results)

    def _written(self, jobs: Sequence[Job]) -> list[Any]:
        try:
            results = self._file.run(jobs)
            if _nothing in jobs:
                self._file.tidy()
        except Exception as error:  # raised where each job is waited for
            return [error] * len(jobs)
        return results


def _nothing(db: sqlite3.Connection) -> None:
    """Stands for `tidy`, which is no part of a transaction."""


def _settle(waiting: Sequence[asyncio.Future[Any]], results: Sequence[Any]) -> None:
    for done, result in zip(waiting, results, strict=True):
        if done.done():
            continue
        if isinstance(result, Exception):
            done.set_exception(result)
            done.exception()  # who waited may have gone
        else:
            done.set_result(result)
