"""The usual recipe: Starlette on uvicorn, a queue and a task per connection."""

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.benchmarks.peers.asgi import serve

queues: set[asyncio.Queue[str]] = set()


async def connect(socket: WebSocket) -> None:
    await socket.accept()
    queue: asyncio.Queue[str] = asyncio.Queue()

    async def send() -> None:
        while True:
            await socket.send_text(await queue.get())

    queues.add(queue)
    sender = asyncio.create_task(send())
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect:
        pass
    finally:
        sender.cancel()
        queues.discard(queue)


async def publish(request: Request) -> Response:
    text = (await request.body()).decode()
    for _ in range(int(request.query_params["count"])):
        for queue in queues:
            queue.put_nowait(text)
    return Response(status_code=204)


if __name__ == "__main__":
    serve(Starlette(routes=[WebSocketRoute("/ws", connect), Route("/publish", publish, methods=["POST"])]))
