"""What a client raises.

ClientError
├── Refused   the server does not give this topic to this login; other topics go on
└── Closed    the server sent us away for good (4500–4999), or the client was closed
"""


class ClientError(Exception):
    """What the gateway or the connection denied a client; the base of everything it raises."""


class Refused(ClientError):
    """`code` is the server's word: forbidden, unknown_topic, too_many_topics, bad_frame."""

    def __init__(self, topic: str, code: str, message: str) -> None:
        super().__init__(topic, code, message)
        self.topic = topic
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.topic} was refused ({self.code}): {self.message}"


class Closed(ClientError):
    """`code` is the WebSocket close code; 1000 if it was this client that closed."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"The connection has ended ({self.code}): {self.reason}"
