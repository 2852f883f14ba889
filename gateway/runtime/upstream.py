"""What a gateway talks to outside: WasenderAPI, or the simulator in its place."""

from contextlib import AsyncExitStack

from starlette.routing import BaseRoute, Mount

from gateway.domain.errors import ConfigError
from gateway.runtime.data_dir import data_dir
from gateway.services.auth.account_token import AccountToken, TokenStore
from gateway.settings import Settings
from gateway.simulator.app import Simulator
from gateway.simulator.page import PageMount
from gateway.wasender.client import WasenderClient


class UpstreamAccess:
    """Which WasenderAPI it is, and under what address that one reaches us."""

    def __init__(self, settings: Settings, url: str, simulator: Simulator | None) -> None:
        """`url` is our own address on this machine; the simulator needs no other."""
        self.simulator = simulator
        self.public_url = settings.public_url or (url if simulator else None)
        self._base_url = f"{url}/simulator/api" if simulator else settings.wasender_base_url
        self._fixed_token = simulator.account_token if simulator else settings.wasender_token

    async def open_client(self, tokens: TokenStore, stack: AsyncExitStack) -> WasenderClient:
        """The client, with the account token of the settings or else of `tokens`; closed with the stack."""
        return await stack.enter_async_context(
            WasenderClient(self._base_url, AccountToken(self._fixed_token, tokens))
        )

    def routes(self) -> list[BaseRoute]:
        """The simulator's own, if it runs in this process."""
        if self.simulator is None:
            return []
        return [
            Mount("/simulator/api", routes=self.simulator.api_routes()),
            Mount("/_simulator", routes=self.simulator.control_routes()),
            PageMount("/simulator", routes=self.simulator.page_routes()),
        ]

    def release(self) -> None:
        """Lets go what the simulator holds back: the server that it runs in is about to stop."""
        if self.simulator is not None:
            self.simulator.release()


async def open_upstream(settings: Settings, url: str, stack: AsyncExitStack) -> UpstreamAccess:
    """Raises ConfigError where the simulator may not run. It ends with the stack."""
    if not settings.simulator:
        return UpstreamAccess(settings, url, None)
    if not settings.is_loopback:
        raise ConfigError("The simulator runs on loopback only. Leave GATEWAY_HOST at 127.0.0.1.")
    simulator = Simulator(data_dir(settings) / "simulator.json")
    return UpstreamAccess(settings, url, await stack.enter_async_context(simulator.running()))
