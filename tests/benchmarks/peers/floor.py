"""The floor: one Python process that calls `os.write` on each socket with a ready frame, and nothing else.

`GET /ws` is answered as an upgrade and kept; `POST /publish?count=N` writes N frames of its body, joined, to all.
"""

import os
import re
import select
import socket
import sys

_UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
_DONE = b"HTTP/1.1 204 No Content\r\n\r\n"


def main() -> None:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(2048)
    sys.stdout.write(f"ready {listening.getsockname()[1]}\n")
    sys.stdout.flush()
    poll = select.epoll()
    poll.register(listening.fileno(), select.EPOLLIN)
    sockets: dict[int, socket.socket] = {}
    clients: list[int] = []
    while True:
        for number, _ in poll.poll():
            if number == listening.fileno():
                accepted = listening.accept()[0]
                accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sockets[accepted.fileno()] = accepted
                poll.register(accepted.fileno(), select.EPOLLIN)
                continue
            request = os.read(number, 65536)
            if not request:
                poll.unregister(number)
                sockets.pop(number).close()
                if number in clients:
                    clients.remove(number)
            elif request.startswith(b"GET"):
                os.write(number, _UPGRADED)
                clients.append(number)
            else:
                publish(request, clients)
                os.write(number, _DONE)


def publish(request: bytes, clients: list[int]) -> None:
    head, _, body = request.partition(b"\r\n\r\n")
    asked = re.search(rb"count=(\d+)", head)
    frame = b"\x81\x7e" + len(body).to_bytes(2, "big") + body
    burst = frame * int(asked[1] if asked else 1)
    write = os.write
    for number in clients:
        write(number, burst)


if __name__ == "__main__":
    main()
