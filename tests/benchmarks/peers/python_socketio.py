"""python-socketio on uvicorn: one emit to everybody."""

import socketio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.benchmarks.peers.asgi import serve

# Its clients answer no pings: they are asked for something only when it is their turn.
server = socketio.AsyncServer(async_mode="asgi", http_compression=False, ping_interval=3600)


async def publish(request: Request) -> Response:
    text = (await request.body()).decode()
    for _ in range(int(request.query_params["count"])):
        await server.emit("message", text)
    return Response(status_code=204)


if __name__ == "__main__":
    serve(
        socketio.ASGIApp(server, Starlette(routes=[Route("/publish", publish, methods=["POST"])])),
    )
