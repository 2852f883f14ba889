"""Requests that are refused before an app sees them, and what their clients are told."""

from http import HTTPStatus

import orjson

_CODES = {400: "invalid", 414: "too_large", 431: "too_large", 503: "unavailable"}

KINDS = {400: "bad_request", 414: "request_line", 431: "headers"}
"""Under which kind a refusal is counted."""

RETRY_AFTER_S = 1


class Refusal(Exception):
    """Ends the reading of a connection, with an answer; may be raised out of the parser's callbacks."""

    def __init__(self, status: int, sentence: str, kind: str | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.kind = kind or KINDS[status]


def refusal_bytes(refusal: Refusal) -> bytes:
    """A whole HTTP answer in our envelope, after which the connection is closed."""
    status, sentence = refusal.status, refusal.sentence
    is_passing = status == 503
    content = {
        "success": False, "error": sentence, "message": sentence, "code": _CODES[status],
        "action": "retry" if is_passing else "fix_input",
        "retry_after_s": RETRY_AFTER_S if is_passing else None, "details": None,
    }  # fmt: skip
    body = orjson.dumps(content)
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n"
    )
    if is_passing:
        head += f"retry-after: {RETRY_AFTER_S}\r\n"
    return head.encode() + b"\r\n" + body
