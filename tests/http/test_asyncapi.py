"""`/asyncapi.json` describes every WebSocket that the running gateway serves."""

from starlette.routing import WebSocketRoute

from tests.launcher.running import Running


async def test_every_websocket_is_a_channel(gateway: Running) -> None:
    status, served = await gateway.call("GET", "/asyncapi.json", token="")
    described = {channel["address"] for channel in served["channels"].values()}
    routes = {route.path for route in gateway.gateway.app.routes if isinstance(route, WebSocketRoute)}

    assert status == 200
    assert "/ws" in routes
    assert routes <= described
