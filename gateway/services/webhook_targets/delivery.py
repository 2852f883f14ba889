"""Webhooks out: a deliverer for every target, on one gateway of the cluster each.

Lifecycle: `run` owns every task of this file and ends after `close`. What a target's receiver does, and a fault in one
deliverer, concerns no other target.
"""

import asyncio
import logging

from gateway.domain.errors import GatewayError
from gateway.services.webhook_targets.deliverer import Deliverer, DeliveryContext

logger = logging.getLogger(__name__)

LOOK_S = 3.0
"""Between two looks for targets without a deliverer."""
CLOSE_S = 4.0


class WebhookDelivery:
    """Keeps a deliverer for every target that is not paused."""

    def __init__(
        self,
        context: DeliveryContext,
        *,
        awake: asyncio.Event | None = None,
        look_s: float = LOOK_S,
    ) -> None:
        """`awake` is set while the database may be asked."""
        self._context = context
        self._has_raw = True
        self._awake = awake
        self._look_s = look_s
        self._deliverers: dict[int, Deliverer] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._stir = asyncio.Event()
        self._is_closing = False
        self._is_closed = asyncio.Event()
        self._is_closed.set()

    def keeps_raw(self) -> bool:
        """Whether there may be a target in raw mode: then webhooks are kept as they come, if Postgres finds it too."""
        return self._has_raw

    def notify(self, payload: str = "*") -> None:
        """Something was written: every deliverer looks. Never waits."""
        for deliverer in self._deliverers.values():
            deliverer.notify()

    def targets_changed(self, payload: str = "*") -> None:
        """A target was added or changed, here or on another gateway. Never waits."""
        self._has_raw = True
        self.notify()
        self._stir.set()

    def on_leases_lost(self) -> None:
        """Every lease may be another gateway's now. Never waits."""
        for deliverer in self._deliverers.values():
            deliverer.on_lease_lost()

    async def run(self) -> None:
        """Until `close`; looks every few seconds for targets that no deliverer serves."""
        self._is_closed.clear()
        try:
            async with asyncio.TaskGroup() as group:
                while not self._is_closing:
                    self._stir.clear()
                    await self._look(group)
                    try:
                        async with asyncio.timeout(self._look_s):
                            await self._stir.wait()
                    except TimeoutError:
                        pass
                await self._stop()
        finally:
            self._is_closed.set()

    async def close(self) -> None:
        """Begins no delivery any more, and lets those under way end; not for ever. Idempotent."""
        self._is_closing = True
        self._stir.set()
        await self._is_closed.wait()

    async def _look(self, group: asyncio.TaskGroup) -> None:
        if self._awake is not None and not self._awake.is_set():
            return
        try:
            active, has_raw = await self._context.store.active()
            if not self._stir.is_set():
                self._has_raw = has_raw
            for target_id in active:
                if target_id not in self._deliverers:
                    self._start(target_id, group)
        except GatewayError as error:
            logger.warning("webhook_targets.store_unavailable error=%s", error)

    def _start(self, target_id: int, group: asyncio.TaskGroup) -> None:
        deliverer = Deliverer(target_id, self._context)
        self._deliverers[target_id] = deliverer
        task = group.create_task(self._serve(deliverer), name=f"deliver to target {target_id}")
        self._tasks[target_id] = task
        task.add_done_callback(lambda _: self._forget(target_id))

    def _forget(self, target_id: int) -> None:
        del self._deliverers[target_id], self._tasks[target_id]

    async def _serve(self, deliverer: Deliverer) -> None:
        try:
            await deliverer.run()
        except Exception:
            logger.exception("webhook_targets.failed target=%d", deliverer.target_id)

    async def _stop(self) -> None:
        for deliverer in self._deliverers.values():
            deliverer.close()
        tasks = tuple(self._tasks.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=CLOSE_S)
            for task in late:
                task.cancel()
