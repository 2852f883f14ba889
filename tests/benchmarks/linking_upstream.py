"""The simulator in a process of its own, for measuring: it counts its calls, and its codes say when they were made.

`python -m tests.benchmarks.linking_upstream CODE_LIFE_S` prints its address and then its account token, and ends
with SIGTERM. `POST /_bench/sessions` makes sessions, `GET /_bench/calls` counts the calls of the API so far.
"""

import asyncio
import contextlib
import json
import secrets
import sys
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.runtime.listen_socket import address_of, bind
from gateway.runtime.server import run_app
from gateway.simulator import Simulator, SimulatorSettings, identity
from tests.linking.upstream import LINK_EVENTS


def dated_code() -> str:
    """As long as a real code; begins with the time at which it was made."""
    return f"2@{time.time_ns()}x{secrets.token_urlsafe(150)}"


def made_at(code: str) -> float:
    """Unix seconds."""
    return int(code[2:].partition("x")[0]) / 1e9


class Counting:
    """ASGI: counts the calls of the API and answers under `/_bench` itself."""

    def __init__(self, app: ASGIApp, simulator: Simulator) -> None:
        self._app = app
        self._simulator = simulator
        self._calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["path"] == "/_bench/sessions":
            body = await Request(scope, receive).json()
            made = [self._make(number, body["webhook_url"]) for number in range(body["count"])]
            await JSONResponse(made)(scope, receive, send)
        elif scope["path"] == "/_bench/calls":
            await JSONResponse(self._calls)(scope, receive, send)
        else:
            self._calls += scope["path"].startswith("/api/")
            await self._app(scope, receive, send)

    def _make(self, number: int, webhook_url: str | None) -> int:
        fields: dict[str, Any] = {
            "name": f"Shop {number}",
            "phone_number": f"+4915{number:09d}",
            "account_protection": False,
            "log_messages": False,
            "webhook_url": webhook_url,
            "webhook_enabled": webhook_url is not None,
            "webhook_events": LINK_EVENTS,
            "options": {},
        }
        return self._simulator.engine.add_session(fields).id


def main() -> None:
    identity.new_code = dated_code
    life_s = float(sys.argv[1])
    settings = SimulatorSettings(
        session_limit=100_000, qr_first_s=life_s, qr_next_s=life_s, max_codes=1000, connect_delay_s=0.3
    )
    simulator = Simulator(None, settings=settings)
    sock = bind("127.0.0.1", 0)

    def announce() -> None:
        sys.stdout.write(json.dumps([address_of(sock), simulator.account_token]) + "\n")
        sys.stdout.flush()

    app = Counting(simulator.standalone_app(), simulator)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run_app(app, sock, announce, simulator.release))


if __name__ == "__main__":
    main()
