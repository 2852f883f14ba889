"""What ends a token before its time, and what a person may do now."""

import asyncio

import pytest

from gateway.domain.access import Ground, Principal, Role
from gateway.domain.errors import StoreUnavailable, Unauthenticated, Unavailable
from gateway.services.auth.revocations import AccessState, Revocations, Standing

ANN = Principal("ann", "Ann", Role.AGENT, frozenset({12}), grounds=(Ground("ann", "j1", 100.0),))
PERSON = Principal("user:7", "Ann", Role.AGENT, None, grounds=(Ground("user:7", "l1", 100.0),), login_id="l1")


class Store:
    def __init__(self, state: AccessState | None = None) -> None:
        self.state = state or AccessState()
        self.reads = 0
        self.is_away = False

    async def access_state(self) -> AccessState:
        self.reads += 1
        if self.is_away:
            raise StoreUnavailable("away")
        return self.state


async def opened(state: AccessState) -> Revocations:
    revocations = Revocations(Store(state))
    await revocations.open()
    return revocations


@pytest.mark.parametrize(
    "state",
    [
        AccessState(jtis=frozenset({"j1"})),
        AccessState(subs={"ann": 100.0}),
        AccessState(subs={"ann": 101.0}),
    ],
)
async def test_a_revoked_token_is_good_no_more(state: AccessState) -> None:
    with pytest.raises(Unauthenticated):
        (await opened(state)).current(ANN)


async def test_a_token_issued_after_the_revocation_of_its_sub_is_good() -> None:
    assert (await opened(AccessState(subs={"ann": 99.9}, jtis=frozenset({"other"})))).current(ANN) == ANN


async def test_a_token_that_does_not_say_when_it_was_issued_counts_as_revoked() -> None:
    nameless = Principal("ann", "Ann", Role.AGENT, None, grounds=(Ground("ann"),))
    with pytest.raises(Unauthenticated):
        (await opened(AccessState(subs={"ann": 1.0}))).current(nameless)


async def test_what_was_made_with_a_token_ends_with_it() -> None:
    made = Principal("bob", "Bob", Role.VIEWER, None, grounds=(Ground("bob", "j2", 200.0), *ANN.grounds))
    with pytest.raises(Unauthenticated):
        (await opened(AccessState(jtis=frozenset({"j1"})))).current(made)


@pytest.mark.parametrize(
    ("standing", "role", "sessions"),
    [
        (Standing(Role.ADMIN, None), Role.ADMIN, None),
        (Standing(Role.VIEWER, frozenset({3})), Role.VIEWER, frozenset({3})),
    ],
)
async def test_a_persons_login_may_do_what_the_person_may_now(
    standing: Standing, role: Role, sessions: frozenset[int] | None
) -> None:
    now = (await opened(AccessState(people={"user:7": standing}))).current(PERSON)

    assert (now.role, now.sessions) == (role, sessions)


async def test_what_a_person_made_may_do_no_more_than_the_person_may_now() -> None:
    made = Principal(
        "shop-1", "S", Role.AGENT, frozenset({3, 4}), grounds=(Ground("shop-1", "x", 1.0), *PERSON.grounds)
    )
    now = (await opened(AccessState(people={"user:7": Standing(Role.VIEWER, frozenset({4, 5}))}))).current(
        made
    )

    assert (now.role, now.sessions) == (Role.VIEWER, frozenset({4}))


async def test_a_disabled_person_is_let_in_no_more() -> None:
    with pytest.raises(Unauthenticated, match="disabled"):
        (await opened(AccessState(people={"user:7": Standing(Role.AGENT, None, True)}))).current(PERSON)


async def test_before_the_tables_were_read_nobody_is_let_in() -> None:
    with pytest.raises(Unavailable):
        Revocations(Store()).current(ANN)


async def test_a_notification_is_read_and_told_and_one_that_fails_is_read_again() -> None:
    store, told = Store(), asyncio.Event()
    revocations = Revocations(store, on_change=told.set, again_s=0.0)
    await revocations.open()
    told.clear()
    running = asyncio.create_task(revocations.run())
    store.state, store.is_away = AccessState(jtis=frozenset({"j1"})), True
    revocations.notify()
    while store.reads < 3:  # noqa: ASYNC110 - a turn of the loop, no time
        await asyncio.sleep(0)
    store.is_away = False
    await asyncio.wait_for(told.wait(), 5)
    running.cancel()
    with pytest.raises(Unauthenticated):
        revocations.current(ANN)


async def test_where_notifications_go_unheard_a_request_reads_first_once_a_second() -> None:
    store, now = Store(), 0.0
    revocations = Revocations(store, is_cut_off=lambda: True, clock=lambda: now)
    await revocations.open()
    store.state = AccessState(jtis=frozenset({"j1"}))
    await revocations.look()
    assert revocations.current(ANN) == ANN  # read a moment ago
    now = 1.5
    await asyncio.gather(*(revocations.look() for _ in range(50)))
    assert store.reads == 2
    with pytest.raises(Unauthenticated):
        revocations.current(ANN)
