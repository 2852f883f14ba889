"""A client of WasenderAPI, and answers for it that need no network."""

from collections.abc import AsyncIterator, Iterator
from unittest.mock import Mock

import pytest
from aiohttp import ClientResponse
from aioresponses import aioresponses

from gateway.wasender.client import WasenderClient

ROOT = "https://upstream.test/api"
TOKEN = "1|account-token-account-token"


class Tokens:
    """Hands out account tokens: `now`, and after a refresh `renewed`."""

    def __init__(self, now: str = TOKEN, renewed: str = TOKEN) -> None:
        self.now, self.renewed, self.asked = now, renewed, list[bool]()

    async def __call__(self, refresh: bool) -> str:
        self.asked.append(refresh)
        if refresh:
            self.now = self.renewed
        return self.now


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
async def client(tokens: Tokens) -> AsyncIterator[WasenderClient]:
    async with WasenderClient("https://upstream.test", tokens) as opened:
        yield opened


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses]:
    """Answers by URL, instead of a network."""

    # aioresponses 0.7.9 builds its responses without the `stream_writer` that aiohttp asks for since 3.14.
    class Response(ClientResponse):
        def __init__(self, *args: object, **kwargs: object) -> None:
            kwargs.setdefault("stream_writer", Mock(output_size=0))
            super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr("aioresponses.core.ClientResponse", Response)
    with aioresponses() as answers:
        yield answers
