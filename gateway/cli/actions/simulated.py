"""Where the gateway beside a command talks to the simulator, the command does so too."""

import json

from gateway.cli.health import look
from gateway.domain.errors import ConfigError
from gateway.runtime.data_dir import noted_address, simulator_state
from gateway.settings import Settings

NOT_THERE = "The simulator lives inside its gateway, and none answers on this data folder: start it first."


def with_simulator(settings: Settings) -> Settings:
    """The settings with the simulator's address and token as upstream, if it stands in. Raises ConfigError."""
    if not settings.simulator:
        return settings
    address = noted_address(settings)
    try:
        token = json.loads(simulator_state(settings).read_text("utf-8"))["account_token"]
        if address is None:
            raise ConfigError(NOT_THERE)
        look(address)
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigError(NOT_THERE) from None
    return settings.model_copy(
        update={
            "wasender_base_url": f"{address}/simulator/api",
            "wasender_token": token,
            "public_url": settings.public_url or address,
        }
    )
