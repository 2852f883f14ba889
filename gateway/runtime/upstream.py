"""What a gateway talks to outside: WasenderAPI, or the simulator in its place."""

from contextlib import AsyncExitStack

from starlette.routing import BaseRoute, Mount

from gateway.domain.errors import ConfigError
from gateway.runtime.context import BuildContext
from gateway.runtime.data_dir import simulator_state
from gateway.services.auth.account_token import AccountToken, TokenStore
from gateway.settings import Settings
from gateway.simulator.app import Simulator
from gateway.simulator.page import PageMount
from gateway.wasender.calls import BACKGROUND, PATIENT
from gateway.wasender.client import WasenderClient


class Upstream:
    """Which WasenderAPI it is, and under what address that one reaches us."""

    def __init__(
        self, client: WasenderClient, public_url: str | None, own_url: str, simulator: Simulator | None
    ) -> None:
        self.public_url = public_url
        self.own_url = own_url
        self.address = public_url or own_url
        """Where others reach us; our own address on this machine, where no other is known."""

        self.simulator = simulator
        self.client = client
        self.patient = client.with_retry_policy(PATIENT)
        """For a person who waits for the answer, and would rather hear of a fault than of nothing."""

        self.background = client.with_retry_policy(BACKGROUND)
        """For what no person waits for."""

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


async def open_upstream(context: BuildContext, tokens: TokenStore) -> Upstream:
    """`tokens` keeps an account token. Raises ConfigError where the simulator may not run. All ends with the stack."""
    settings, url, stack = context.settings, context.url, context.stack
    simulator = await _open_simulator(settings, stack)
    if simulator is None:
        base_url, token, public_url = settings.wasender_base_url, settings.wasender_token, settings.public_url
    else:
        base_url, token = f"{url}/simulator/api", simulator.account_token
        public_url = settings.public_url or url
    client = await stack.enter_async_context(
        WasenderClient(base_url, AccountToken(token, tokens), timeouts=context.timings.upstream)
    )
    return Upstream(client, public_url, url, simulator)


async def _open_simulator(settings: Settings, stack: AsyncExitStack) -> Simulator | None:
    if not settings.simulator:
        return None
    if not settings.is_loopback:
        raise ConfigError("The simulator runs on loopback only. Leave GATEWAY_HOST at 127.0.0.1.")
    simulator = Simulator(simulator_state(settings))
    return await stack.enter_async_context(simulator.running())
