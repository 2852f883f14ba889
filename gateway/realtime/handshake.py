"""Handshakes that are too long or unreadable, and the answer to each."""

from http import HTTPStatus

import orjson

MAX_REQUEST_LINE_BYTES = 16 * 1024
MAX_HEADERS_BYTES = 32 * 1024
MAX_HEADERS = 100


def refusal(head: bytes) -> bytes | None:
    """The answer to a request whose head is over a limit; None if it is not."""
    line, _, rest = head.partition(b"\r\n")
    if len(line) > MAX_REQUEST_LINE_BYTES:
        return _answer(414, f"The request line may have at most {MAX_REQUEST_LINE_BYTES // 1024} KiB.")
    headers = rest.partition(b"\r\n\r\n")[0]
    if len(headers) > MAX_HEADERS_BYTES:
        return _answer(431, f"The headers may have at most {MAX_HEADERS_BYTES // 1024} KiB together.")
    if headers.count(b"\r\n") >= MAX_HEADERS:
        return _answer(431, f"A request may have at most {MAX_HEADERS} headers.")
    return None


def _answer(status: int, sentence: str) -> bytes:
    code = "too_large" if status in (414, 431) else "invalid"
    content = {
        "success": False,
        "error": sentence,
        "message": sentence,
        "code": code,
        "action": "fix_input",
        "retry_after_s": None,
        "details": None,
    }
    body = orjson.dumps(content)
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


UNREADABLE = _answer(400, "This is no handshake of a WebSocket that can be read.")
