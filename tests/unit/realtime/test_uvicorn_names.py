"""The private names of uvicorn and websockets that our protocol classes use.

uvicorn is pinned below the next release in pyproject.toml. When this fails with a newer one, look at what the classes
in `gateway/realtime/transport` do with the name, then raise the pin.
"""

import asyncio
import inspect
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.protocols.http import flow_control, httptools_impl
from uvicorn.protocols.websockets import websockets_sansio_impl
from uvicorn.server import ServerState
from websockets.protocol import Protocol
from websockets.server import ServerProtocol

from gateway.realtime.transport.slim_conn import SlimConn
from gateway.realtime.transport.uvicorn_protocol import GatewayWebSocketProtocol

HTTP = httptools_impl.HttpToolsProtocol
CYCLE = httptools_impl.RequestResponseCycle
FLOW = flow_control.FlowControl
SOCKET = websockets_sansio_impl.WebSocketsSansIOProtocol

METHODS = [
    *((HTTP, name) for name in (
        "connection_made", "connection_lost", "data_received", "eof_received", "pause_writing", "resume_writing",
        "on_message_begin", "on_header", "on_headers_complete", "on_body", "on_message_complete",
        "on_response_complete", "send_400_response", "handle_websocket_upgrade", "_should_upgrade", "_start_asgi_task",
    )),
    *((FLOW, name) for name in ("pause_reading", "resume_reading", "pause_writing", "resume_writing")),
    *((SOCKET, name) for name in (
        "connection_made", "connection_lost", "data_received", "handle_connect", "handle_ping", "handle_pong",
        "receive", "send", "run_asgi",
    )),
    (Protocol, "parse"), (Protocol, "data_to_send"), (ServerProtocol, "accept"),
]  # fmt: skip

ATTRIBUTES = {
    HTTP: ("app", "config", "connections", "cycle", "flow", "headers", "loop", "parser", "pipeline", "scope",
           "server_state", "tasks", "transport", "url", "ws_protocol_class", "app_state", "client"),
    CYCLE: ("body", "disconnected", "keep_alive", "message_event", "response_complete",
            "response_started", "scope", "transport"),
    FLOW: ("read_paused", "write_paused"),
    SOCKET: ("client", "close_sent", "close_timer", "conn", "connections", "disconnected", "loop", "queue",
             "read_paused", "scheme", "scope", "transport", "writable"),
}  # fmt: skip


@pytest.mark.parametrize(("owner", "name"), METHODS)
def test_a_method_that_we_override_or_call_is_there(owner: type, name: str) -> None:
    assert callable(getattr(owner, name, None)), f"{owner.__name__}.{name} is gone"


@pytest.mark.parametrize(
    ("owner", "name"), [(owner, name) for owner, names in ATTRIBUTES.items() for name in names]
)
def test_an_attribute_that_we_use_is_set(owner: type, name: str) -> None:
    source = inspect.getsource(owner)

    assert f"self.{name}" in source, f"{owner.__name__} has no {name} any more"


def test_a_request_is_begun_by_one_method_with_its_cycle_and_its_app() -> None:
    assert list(inspect.signature(HTTP._start_asgi_task).parameters) == ["self", "cycle", "app"]
    assert HTTP.on_headers_complete.__code__.co_names.count("_start_asgi_task") == 1


def test_requests_read_ahead_wait_in_the_pipeline_from_its_left_end() -> None:
    assert "self.pipeline.appendleft((self.cycle, app))" in inspect.getsource(HTTP.on_headers_complete)


def test_our_socket_sets_what_uvicorns_sets_to_the_same_values() -> None:
    async def vars_of(kind: type[SOCKET]) -> dict[str, Any]:
        config = Config(lambda: None, ws_per_message_deflate=False, log_config=None)
        return vars(kind(config, ServerState(), {}))

    theirs = asyncio.run(vars_of(SOCKET))
    ours = asyncio.run(vars_of(GatewayWebSocketProtocol))

    assert theirs.keys() <= ours.keys()
    own = {
        "config",
        "app",
        "loop",
        "logger",
        "connections",
        "tasks",
        "default_headers",
        "queue",
        "writable",
        "conn",
    }
    assert {key: ours[key] for key in theirs.keys() - own} == {
        key: theirs[key] for key in theirs.keys() - own
    }


def test_our_frame_parser_sets_what_websockets_sets_to_the_same_values() -> None:
    ours, theirs = vars(SlimConn(1 << 20)), vars(ServerProtocol(max_size=1 << 20))

    assert ours.keys() == theirs.keys()
    own = {"id", "logger", "reader", "parser"}
    assert {key: ours[key] for key in theirs.keys() - own} == {
        key: theirs[key] for key in theirs.keys() - own
    }


def test_the_servers_state_counts_requests() -> None:
    assert ServerState().total_requests == 0
