"""How the peers that are ASGI apps are served: uvicorn on uvloop, nothing switched on that costs without need."""

import socket
import sys
from typing import Any

import uvicorn


def serve(app: Any) -> None:
    """Says `ready <port>` and runs until SIGTERM."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.bind(("127.0.0.1", 0))
    sock.listen(2048)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        ws="websockets-sansio",
        ws_ping_interval=None,
        ws_per_message_deflate=False,
        access_log=False,
        log_level="warning",
        lifespan="auto",
    )
    sys.stdout.write(f"ready {sock.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(config).run(sockets=[sock])
