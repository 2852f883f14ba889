"""Servers and gateways that are there to be broken."""

from collections.abc import Iterator

import pytest

from tests.faults.server import Server, own_server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A Postgres of this file's own."""
    with own_server() as running:
        yield running
