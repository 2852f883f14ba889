"""Whose webhook it is: by path, key or secret; and a rotated secret is asked for once."""

import asyncio
from collections.abc import Sequence

import pytest

from gateway.domain.errors import StoreUnavailable, Unauthenticated, Unavailable, UpstreamTimeout
from gateway.domain.session import SessionId, SessionSecrets
from gateway.services.webhooks.authenticator import REFRESH_EVERY_S, WebhookAuthenticator, WrongSecret


def secrets_of(session_id: int, secret: str | None = None) -> SessionSecrets:
    return SessionSecrets(SessionId(session_id), f"key-{session_id}", secret or f"secret-{session_id}")


class Store:
    def __init__(self, *rows: SessionSecrets) -> None:
        self.rows = list(rows)
        self.reads = 0
        self.asked: list[Sequence[int] | None] = []
        self.away = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def all_secrets(self, session_ids: Sequence[int] | None = None) -> list[SessionSecrets]:
        self.reads += 1
        self.asked.append(session_ids)
        await asyncio.sleep(0)
        await self.gate.wait()
        if self.away:
            raise StoreUnavailable("away")
        return [row for row in self.rows if session_ids is None or row.id in session_ids]


class Upstream:
    """Says what it knows, and keeps it in the store, as `Sessions.refresh_secrets` does."""

    def __init__(self, store: Store, answer: SessionSecrets | Exception | None = None) -> None:
        self.store = store
        self.answer = answer
        self.asked: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def refresh_secrets(self, session_id: int) -> SessionSecrets | None:
        self.asked.append(session_id)
        await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            self.store.rows = [row for row in self.store.rows if row.id != self.answer.id] + [self.answer]
        return self.answer


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class House:
    def __init__(self, *rows: SessionSecrets, upstream: SessionSecrets | Exception | None = None) -> None:
        self.store = Store(*rows)
        self.upstream = Upstream(self.store, upstream)
        self.clock = Clock()
        self.authenticator = WebhookAuthenticator(self.store, self.upstream, clock=self.clock)

    async def who(self, path_id: int | None, key: str | None, secret: str | None) -> int:
        return int((await self.authenticator.authenticate(path_id, key, secret)).id)


async def test_first_webhooks_of_the_same_moment_are_all_let_in() -> None:
    house = House(secrets_of(12))
    house.store.gate.clear()
    waiting = [asyncio.create_task(house.who(12, None, "secret-12"), name="webhook") for _ in range(20)]
    await asyncio.sleep(0)
    house.store.gate.set()

    assert await asyncio.gather(*waiting) == [12] * 20
    assert house.store.reads <= 2


async def test_the_table_is_read_again_only_after_a_change() -> None:
    house = House(secrets_of(12))
    for _ in range(3):
        await house.who(12, None, "secret-12")
    house.authenticator.forget(None)
    for _ in range(3):
        await house.who(12, None, "secret-12")

    assert house.store.reads == 2


async def test_a_session_so_new_that_no_bell_has_rung_is_let_in() -> None:
    house = House(secrets_of(12))
    await house.who(12, None, "secret-12")
    house.store.rows.append(secrets_of(13))

    assert await house.who(None, "key-13", "secret-13") == 13


async def test_strangers_in_a_crowd_cost_few_reads() -> None:
    house = House(secrets_of(12))
    crowd = [house.who(99, None, "wrong") for _ in range(100)]

    found = await asyncio.gather(*crowd, return_exceptions=True)
    assert {type(error) for error in found} == {WrongSecret}
    assert house.store.reads <= 4


async def test_a_change_that_comes_during_the_read_is_read_too() -> None:
    house = House(secrets_of(12))
    house.store.gate.clear()
    first = asyncio.create_task(house.who(12, None, "secret-12"), name="first")
    await asyncio.sleep(0)
    house.authenticator.forget(None)
    house.store.gate.set()
    await first
    house.store.rows = [secrets_of(12, "new")]

    assert await house.who(12, None, "new") == 12
    assert house.store.reads == 2


async def test_a_changed_secret_no_longer_opens_the_door() -> None:
    house = House(secrets_of(12), upstream=secrets_of(12, "new"))
    await house.who(12, None, "secret-12")
    house.store.rows = [secrets_of(12, "new")]
    house.authenticator.forget(None)

    with pytest.raises(Unauthenticated):
        await house.who(12, None, "secret-12")


async def test_a_rotated_secret_is_fetched_once_and_then_accepted() -> None:
    house = House(secrets_of(12), upstream=secrets_of(12, "new"))

    assert await house.who(None, "key-12", "new") == 12
    assert await house.who(None, "key-12", "new") == 12
    assert house.upstream.asked == [12]


async def test_webhooks_that_come_while_the_new_secret_is_fetched_are_let_in_too() -> None:
    house = House(secrets_of(12), upstream=secrets_of(12, "new"))
    house.upstream.gate.clear()
    waiting = [asyncio.create_task(house.who(12, None, "new"), name="webhook") for _ in range(5)]
    for _ in range(100):  # turns of the loop: all five have read the table and stand before upstream
        await asyncio.sleep(0)
    house.upstream.gate.set()

    assert await asyncio.gather(*waiting) == [12] * 5
    assert house.upstream.asked == [12]


async def test_upstream_is_asked_at_most_once_in_ten_seconds_per_session() -> None:
    house = House(secrets_of(12), secrets_of(13), upstream=secrets_of(12))

    async def refused(session_id: int) -> None:
        with pytest.raises(Unauthenticated):
            await house.who(session_id, None, "wrong")

    for session_id in (12, 12, 13, 12, 13):
        await refused(session_id)
    assert house.upstream.asked == [12, 13]
    house.clock.now += REFRESH_EVERY_S
    await refused(12)
    await refused(12)
    assert house.upstream.asked == [12, 13, 12]


@pytest.mark.parametrize("answer", [None, UpstreamTimeout("late"), StoreUnavailable("away")])
async def test_an_upstream_that_cannot_say_leaves_the_wrong_secret_wrong(answer: Exception | None) -> None:
    house = House(secrets_of(12), upstream=answer)

    with pytest.raises(Unauthenticated):
        await house.who(12, None, "wrong")
    assert await house.who(12, None, "secret-12") == 12


async def test_nobody_is_asked_about_a_session_that_is_not_ours() -> None:
    house = House(secrets_of(12))

    with pytest.raises(Unauthenticated):
        await house.who(99, None, "secret-12")
    with pytest.raises(Unauthenticated):
        await house.who(None, "key-99", "secret-99")
    assert house.upstream.asked == []


async def test_without_a_signature_nothing_is_looked_up() -> None:
    house = House(secrets_of(12))

    for missing in (None, ""):
        with pytest.raises(Unauthenticated):
            await house.who(12, None, missing)
    assert house.store.reads == 0


@pytest.mark.parametrize("claim", ["12", "key-12"])
async def test_a_body_may_name_its_session_by_key_or_by_number(claim: str) -> None:
    house = House(secrets_of(12), secrets_of(13))

    assert await house.who(None, claim, "secret-12") == 12
    with pytest.raises(Unauthenticated):
        await house.who(None, claim, "secret-13")


async def test_a_database_that_is_away_is_no_reason_to_refuse_whom_we_know() -> None:
    house = House(secrets_of(12))
    await house.who(12, None, "secret-12")
    house.store.away = True
    house.authenticator.forget(None)

    assert await house.who(12, None, "secret-12") == 12


async def test_a_secret_that_cannot_be_known_is_503_and_not_401() -> None:
    house = House(secrets_of(12))
    house.store.away = True

    with pytest.raises(Unavailable):
        await house.who(12, None, "secret-12")
    house.store.away = False
    assert await house.who(12, None, "secret-12") == 12


async def test_a_session_that_is_not_cached_is_503_while_the_database_is_away() -> None:
    house = House(secrets_of(12))
    await house.who(12, None, "secret-12")
    house.store.away = True

    with pytest.raises(Unavailable):
        await house.who(13, None, "secret-13")
    with pytest.raises(Unauthenticated):
        await house.who(12, None, "wrong")


async def test_only_the_sessions_that_a_bell_names_are_read_again() -> None:
    house = House(secrets_of(12), secrets_of(13), secrets_of(14))
    await house.who(12, None, "secret-12")
    house.store.rows = [secrets_of(12, "new"), secrets_of(13)]
    house.authenticator.notify("12")
    house.authenticator.notify("14,15")

    assert await house.who(12, None, "new") == 12
    assert house.store.asked[1:] == [[12, 14, 15]]
    with pytest.raises(Unauthenticated):
        await house.who(14, None, "secret-14")


@pytest.mark.parametrize("payload", ["*", "", "12,", "x", "9" * 19])
async def test_a_bell_that_names_nobody_means_everybody(payload: str) -> None:
    house = House(secrets_of(12))
    await house.who(12, None, "secret-12")
    house.authenticator.notify(payload)
    await house.who(12, None, "secret-12")

    assert house.store.asked == [None, None]


async def test_while_bells_may_ring_unheard_the_table_is_asked_each_time() -> None:
    house = House(secrets_of(12), upstream=secrets_of(12, "new"))
    house.authenticator = WebhookAuthenticator(
        house.store, house.upstream, is_stale=lambda: True, clock=house.clock
    )
    await house.who(12, None, "secret-12")
    house.store.rows = [secrets_of(12, "new")]

    with pytest.raises(Unauthenticated):
        await house.who(12, None, "secret-12")


async def test_what_could_not_be_read_is_read_when_the_database_is_back() -> None:
    house = House(secrets_of(12), secrets_of(13))
    await house.who(12, None, "secret-12")
    house.store.rows[0] = secrets_of(12, "new")
    house.authenticator.notify("12")
    house.store.away = True
    await house.who(13, None, "secret-13")
    house.store.away = False

    assert await house.who(12, None, "new") == 12
    assert house.store.asked[-1] == [12]
