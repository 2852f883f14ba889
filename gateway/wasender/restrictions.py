"""How upstream says that WhatsApp lets a number start no new chats: in the answer to a send, or by webhook later."""

import re

_RESTRICTED = re.compile(
    r"(error|code|status)\W{0,3}463\b|new chats|(temporarily|account is|account was) restricted",
    re.IGNORECASE,
)


def is_restriction(words: str) -> bool:
    """Whether the words of a failure tell of it."""
    return _RESTRICTED.search(words) is not None
