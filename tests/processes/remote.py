"""A gateway in a process of its own, as an HTTP and WebSocket client sees it."""

import contextlib
import time
from collections.abc import AsyncIterator

import aiohttp
import jwt

from gateway.domain.access import Role
from tests.running import Running

SECRET = "a-secret-for-tests-of-at-least-32-characters"


def mint(secret: str, role: Role = Role.ADMIN, sessions: set[int] | None = None, life_s: float = 600) -> str:
    """A login, as the shop's backend makes one."""
    claims = {
        "sub": "tester",
        "name": "Tester",
        "role": role.word,
        "sessions": "*" if sessions is None else sorted(sessions),
        "exp": int(time.time() + life_s),
    }
    return jwt.encode(claims, secret, algorithm="HS256")


class Remote(Running):
    """As `Running`, for a gateway that is somewhere else."""

    def __init__(self, url: str, secret: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._secret = secret
        self._http = http

    def token(self, role: Role = Role.ADMIN, sessions: set[int] | None = None, life_s: float = 600) -> str:
        return mint(self._secret, role, sessions, life_s)


@contextlib.asynccontextmanager
async def reach(url: str, secret: str = SECRET) -> AsyncIterator[Remote]:
    # Fault handling is not looked at here: an answer that takes long is an error.
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as http:
        yield Remote(url, secret, http)
