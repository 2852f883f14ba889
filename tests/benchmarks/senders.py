"""Senders of webhooks: keep-alive HTTP connections that each send the next one when the last is answered."""

import itertools
import json
import secrets
import select
import socket
import time

from tests.benchmarks.crowd import PATIENCE_S

SECRET = "webhook-secret-of-the-benchmark"
_ids = itertools.count(1)


def session_row(session_id: int) -> str:
    """SQL for a session whose webhooks may come in."""
    return (
        "INSERT INTO public.whatsapp_sessions "
        "(wasender_session_id, name, phone_number, status, api_key, webhook_secret) "
        f"VALUES ({session_id}, 'Shop', '+4915', 'connected', 'key-of-session-{session_id}', '{SECRET}')"
    )


def webhook(session_id: int, text: str = "") -> bytes:
    """A request with a customer's message, as upstream sends it; every one another message, ids in no order."""
    number = next(_ids)
    text = text or f"Good morning, is article {number} in stock again?"
    phone = f"49151{number % 500:08d}"
    key = {
        "id": f"3EB0{secrets.token_hex(9).upper()}",
        "fromMe": False,
        "remoteJid": f"{phone}@s.whatsapp.net",
    }
    body = json.dumps(
        {
            "event": "messages.received",
            "sessionId": f"key-of-session-{session_id}",
            "timestamp": int(time.time() * 1000),
            "data": {
                "messages": {
                    "key": key,
                    "messageTimestamp": int(time.time()),
                    "pushName": "Ann Customer",
                    "broadcast": False,
                    "message": {"conversation": text},
                    "messageBody": text,
                    "remoteJid": key["remoteJid"],
                    "id": key["id"],
                }
            },
        }
    ).encode()
    head = (
        "POST /api/whatsapp/webhook HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: axios/1.7\r\n"
        "Accept: application/json, text/plain, */*\r\nContent-Type: application/json\r\n"
        f"X-Webhook-Signature: {SECRET}\r\nContent-Length: {len(body)}\r\nConnection: keep-alive\r\n\r\n"
    )
    return head.encode() + body


class WebhookAuthenticator:
    def __init__(self, port: int, count: int) -> None:
        self._poll = select.epoll()
        self._websockets: dict[int, socket.socket] = {}
        for _ in range(count):
            each = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._websockets[each.fileno()] = each
            self._poll.register(each.fileno(), select.EPOLLIN)

    def close(self) -> None:
        self._poll.close()
        for each in self._websockets.values():
            each.close()

    def send(self, requests: list[bytes]) -> float:
        """Seconds until all have been acknowledged. Raises RuntimeError if one is refused."""
        waiting = iter(requests)
        begun = time.monotonic()
        unanswered = 0
        answers = dict.fromkeys(self._websockets, b"")
        for each, request in zip(self._websockets.values(), waiting, strict=False):
            each.sendall(request)
            unanswered += 1
        while unanswered:
            for number, _ in self._poll.poll(1.0):
                answers[number] += self._websockets[number].recv(4096)
                if not answers[number].startswith(b"HTTP/1.1 200"):
                    raise RuntimeError(f"a webhook was answered {answers[number]!r}")
                if not answers[number].endswith(b'{"received":true}'):
                    continue
                answers[number] = b""
                request = next(waiting, b"")
                if request:
                    self._websockets[number].sendall(request)
                else:
                    unanswered -= 1
            if time.monotonic() - begun > PATIENCE_S:
                raise TimeoutError(f"{unanswered} webhooks were not answered")
        return time.monotonic() - begun
