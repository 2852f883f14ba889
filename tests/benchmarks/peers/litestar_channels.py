"""Litestar's channels plugin with its memory backend and its own WebSocket handlers."""

from litestar import Litestar, Request, post
from litestar.channels import ChannelsPlugin
from litestar.channels.backends.memory import MemoryChannelsBackend

from tests.benchmarks.peers.asgi import serve

channels = ChannelsPlugin(
    backend=MemoryChannelsBackend(), channels=["ws"], create_ws_route_handlers=True, ws_handler_base_path="/"
)


async def publish(request: Request, count: int) -> None:  # type: ignore[type-arg, unused-ignore]
    text = (await request.body()).decode()
    for _ in range(count):
        channels.publish(text, "ws")


if __name__ == "__main__":
    serve(Litestar([post("/publish", status_code=204)(publish)], plugins=[channels]))
