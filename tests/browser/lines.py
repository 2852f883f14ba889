"""The page's WebSocket in a test's hand: cut, held, closed with a code, and with frames of the test's own put in."""

import json
from typing import Any

from playwright.async_api import Page, WebSocketRoute


class Line:
    """Every WebSocket that the page opens goes through here."""

    def __init__(self) -> None:
        self.is_cut = False
        self.tries = 0
        self.version: str | None = None
        """What `welcome` says, if not the truth."""
        self._open: WebSocketRoute | None = None

    async def hold(self, page: Page) -> None:
        """Call it before the page is opened."""
        await page.route_web_socket("**/ws", self._opened)

    def _opened(self, route: WebSocketRoute) -> Any:
        self.tries += 1
        if self.is_cut:
            return route.close()
        server = route.connect_to_server()
        self._open = route
        route.on_message(server.send)
        server.on_message(lambda text: route.send(self._shown(text)))
        return None

    def _shown(self, text: str | bytes) -> str | bytes:
        if self.version is None or '"welcome"' not in str(text):
            return text
        return json.dumps({**json.loads(text), "version": self.version})

    async def cut(self) -> None:
        """The line is gone, and every new one at once."""
        self.is_cut = True
        await self.close(1001)

    def mend(self) -> None:
        """New lines hold."""
        self.is_cut = False

    async def close(self, code: int) -> None:
        """Ends the line as the gateway does."""
        assert self._open is not None, "the page has no line"
        await self._open.close(code=code)

    def put(self, **frame: Any) -> None:
        """A frame that the gateway did not send."""
        assert self._open is not None, "the page has no line"
        self._open.send(json.dumps(frame))
