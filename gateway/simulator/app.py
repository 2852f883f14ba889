"""The simulator as a whole: a WasenderAPI that runs here, for demos, for tests, and for developers without an
account.

Lifecycle: construct it (reads the state file), mount its routes, and keep `running()` open while it serves.
Inside, timers turn codes over and webhooks are sent; leaving it stops both and saves.
"""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount

from gateway.simulator import api, control, page
from gateway.simulator.call_log import CallLog
from gateway.simulator.chat_control import ChatControl
from gateway.simulator.chats import Chats
from gateway.simulator.clock import Clock
from gateway.simulator.control import Control
from gateway.simulator.engine import Engine
from gateway.simulator.file_host import FileHost
from gateway.simulator.files import Files
from gateway.simulator.ledger import Ledger
from gateway.simulator.links import Links
from gateway.simulator.page import PageMount
from gateway.simulator.send_control import SendControl
from gateway.simulator.sends import Sends
from gateway.simulator.settings import SimulatorSettings


class Simulator:
    """Raises ConfigError when the state file is there and cannot be read. One process per state file."""

    def __init__(
        self,
        state_path: Path | None,
        *,
        settings: SimulatorSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.engine = Engine(state_path, settings or SimulatorSettings(), clock or Clock())
        """The account it plays, its clock and its faults."""
        self._files = Files(state_path, self.engine.world, self.engine.clock)
        self._ledger = Ledger(state_path)
        self._calls = CallLog()
        self._links = Links(self.engine)
        self._chats = Chats(self.engine)
        self._sends = Sends(self.engine, self._chats, self._ledger)

    @property
    def account_token(self) -> str:
        """The token for the management calls. A secret, if only of a simulated account."""
        return self.engine.world.account_token

    def api_routes(self) -> list[BaseRoute]:
        """WasenderAPI, without the prefix: mount under `/api` or `/simulator/api`."""
        return api.api_routes(self.engine, self._links, self._sends, self._chats, self._files, self._calls)

    def control_routes(self) -> list[BaseRoute]:
        """Mount under `/_simulator`. Guards itself against callers from elsewhere."""
        engine, sends, chats = self.engine, self._sends, self._chats
        return control.control_routes(
            Control(engine, self._links, self._forget),
            ChatControl(engine, sends, chats, self._files),
            SendControl(engine, sends, self._ledger, self._calls),
        )

    def _forget(self) -> None:
        """Lets everything go but the account token. Ids go on, so that no number means two sessions."""
        engine, world = self.engine, self.engine.world
        for session in list(world.sessions.values()):
            self._links.forget(session)
        self._sends.stop()
        engine.webhooks.clear()
        engine.faults.clear()
        engine.limits.clear()
        for shelf in (world.sessions, world.sent, world.contacts, world.groups, world.received, world.told):
            shelf.clear()
        self._files.clear()
        self._ledger.clear()
        self._calls.clear()
        self._chats.typing.clear()
        world.not_on_whatsapp = []
        engine.changed()

    def page_routes(self) -> list[BaseRoute]:
        """The phone page, and WhatsApp's files: mount under `/simulator`, after `/simulator/api`."""
        return [*FileHost(self.engine, self._files).routes(), *page.page_routes()]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Simulator"]:
        """Timers and webhooks run inside. At the end everything stops and is saved."""
        async with self.engine.webhooks.running():
            self.engine.save()
            self._links.resume()
            self._sends.resume()
            try:
                yield self
            finally:
                self.engine.release()
                self._links.stop()
                self._sends.stop()
                self.engine.save()
                self._files.close()

    def release(self) -> None:
        """Lets requests go that a fault holds, or that wait for changes.

        Call it when the server starts to drain.
        """
        self.engine.release()

    def standalone_app(self) -> Starlette:
        """The simulator as a server of its own: `/api`, `/_simulator`, `/simulator`."""

        @contextlib.asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            async with self.running():
                yield

        app = Starlette(
            lifespan=lifespan,
            routes=[
                Mount("/api", routes=self.api_routes()),
                Mount("/_simulator", routes=self.control_routes()),
                PageMount("/simulator", routes=self.page_routes()),
            ],
        )
        # A redirect would name the host as the client wrote it.
        app.router.redirect_slashes = False
        return app
