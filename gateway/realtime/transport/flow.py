"""Whether an HTTP connection reads: uvicorn's way to hold a client back, with a hold of ours."""

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.flow_control import FlowControl


class HeldFlow(FlowControl):
    """While it is held, it reads nothing: an app that asks for its body would resume reading, whatever else waits.

    `may_read` is asked when the app wants more of the body: whether more is to be read for it.
    """

    def __init__(self, transport: asyncio.Transport, may_read: Callable[[], bool]) -> None:
        super().__init__(transport)
        self._may_read = may_read
        self._is_held = False

    def hold(self) -> None:
        """Reads nothing until `let_go`, whatever the app asks for."""
        self._is_held = True
        self.pause_reading()

    def let_go(self) -> None:
        """Reads on."""
        self._is_held = False
        self.resume_reading()

    def resume_reading(self) -> None:
        """The app wants more, or it has taken what there was."""
        if not self._is_held and self._may_read():
            super().resume_reading()
