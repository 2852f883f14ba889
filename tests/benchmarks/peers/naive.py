"""The usual design: one INSERT per webhook, a trigger that notifies the row's number, one read of it per notification.

No journal, no offsets, no resume, no list of conversations: what a message lost on the way would need.
"""

import asyncio
import hmac
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.benchmarks.peers.asgi import serve

TABLE = (
    "CREATE TABLE naive (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, message_id text UNIQUE, from_phone text,"
    " message_text text, message_type text, wasender_session_id bigint, is_read boolean DEFAULT false,"
    " received_at timestamptz DEFAULT now(), raw_data jsonb)",
    "CREATE INDEX ON naive (wasender_session_id, received_at)",
    """
    CREATE FUNCTION notify_naive() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_notify('naive', NEW.id::text); RETURN NULL; END $$
    """,
    "CREATE TRIGGER notify_naive AFTER INSERT ON naive FOR EACH ROW EXECUTE FUNCTION notify_naive()",
)
INSERT = """
INSERT INTO naive (message_id, from_phone, message_text, message_type, wasender_session_id, raw_data)
VALUES ($1, $2, $3, 'text', 1, $4) ON CONFLICT (message_id) DO NOTHING
"""
READ = """
SELECT id, message_id, from_phone, message_text, message_type, wasender_session_id, is_read, received_at::text
FROM naive WHERE id = $1
"""


def app(dsn: str, secret: str) -> Starlette:
    """Keeps webhooks and tells them to every socket."""
    sockets: set[WebSocket] = set()
    told: asyncio.Queue[int] = asyncio.Queue()
    pool: asyncpg.Pool

    async def receive(request: Request) -> JSONResponse:
        body = await request.body()
        if not hmac.compare_digest(request.headers.get("x-webhook-signature", ""), secret):
            return JSONResponse({"error": "signature"}, 401)
        message = json.loads(body)["data"]["messages"]
        phone = message["key"]["remoteJid"].partition("@")[0]
        await pool.execute(INSERT, message["key"]["id"], phone, message["messageBody"], body.decode())
        return JSONResponse({"received": True})

    async def connect(socket: WebSocket) -> None:
        await socket.accept()
        sockets.add(socket)
        try:
            while True:
                await socket.receive_text()
        except WebSocketDisconnect:
            sockets.discard(socket)

    async def tell() -> None:
        while True:
            row = await pool.fetchrow(READ, await told.get())
            text = json.dumps({"event": "message.new", "data": dict(row or {})})
            for socket in list(sockets):
                await socket.send_text(text)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        nonlocal pool
        pool = await asyncpg.create_pool(dsn, min_size=2)
        listener = await asyncpg.connect(dsn)
        await listener.add_listener("naive", lambda *said: told.put_nowait(int(said[3])))
        task = asyncio.create_task(tell())
        yield
        task.cancel()
        await listener.close()
        await pool.close()

    routes = [
        Route("/api/whatsapp/webhook", receive, methods=["POST"]),
        WebSocketRoute("/ws", connect),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


if __name__ == "__main__":
    serve(app(*sys.argv[1:]))
