"""Tries to log in that wait for their turn."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.domain.errors import RateLimited, Unauthenticated
from gateway.services.auth.login import Login
from gateway.services.auth.logins import MAX_WAITING, LoginAndPeopleStore, Logins, Visitor
from gateway.services.auth.passwords import MAX_HASHING, Passwords
from gateway.services.auth.throttle import LoginThrottle


async def _nothing(*args: Any, **more: Any) -> None:
    return None


async def _sleep_for_good(delay_s: float) -> None:
    await asyncio.Event().wait()


async def test_tries_that_are_slowed_down_take_no_place_of_those_that_are_not() -> None:
    logins = Logins(
        cast(Login, None),
        cast(LoginAndPeopleStore, SimpleNamespace(person_named=_nothing)),
        Passwords(time_cost=1, memory_kib=8),
        LoginThrottle(),
        cast(Any, SimpleNamespace(refused=lambda *args: None)),
        sleep=_sleep_for_good,
    )
    for number in range(5):
        with pytest.raises(Unauthenticated):
            await logins.by_password("ann", "x", Visitor(f"192.0.2.{number}", None))
    slowed = [
        asyncio.create_task(logins.by_password("ann", "x", Visitor(f"198.51.100.{number}", None)))
        for number in range(MAX_WAITING)
    ]
    await asyncio.sleep(0)

    with pytest.raises(Unauthenticated):
        await logins.by_password("bob", "x", Visitor("203.0.113.1", None))
    for each in slowed:
        each.cancel()


async def test_passwords_that_wait_to_be_hashed_are_few() -> None:
    passwords = Passwords(time_cost=1, memory_kib=8)
    done = await asyncio.gather(
        *(passwords.hash("correct horse") for _ in range(MAX_HASHING + 3)), return_exceptions=True
    )

    refused = [item for item in done if isinstance(item, RateLimited)]
    assert len(refused) == 3
    assert refused[0].retry_after_s == 2
    assert await passwords.hash("correct horse")
