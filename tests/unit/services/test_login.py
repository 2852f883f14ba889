"""JWTs and one-time tickets: what they carry, and what is not accepted."""

import time
from typing import Any

import jwt
import pytest

from gateway.domain.access import Principal, Role
from gateway.domain.errors import Unauthenticated
from gateway.services.auth.login import TICKET_LIFE_S, Login, claims_of, principal_of

SECRET = "a-secret-that-is-long-enough-for-every-algorithm-a-forger-may-choose"
AGENT = Principal(sub="7", name="Ann", role=Role.AGENT, sessions=frozenset({12, 13}))


class Tickets:
    """A cluster's table of tickets."""

    def __init__(self) -> None:
        self.kept: dict[bytes, tuple[str, dict[str, Any], float]] = {}

    async def keep_ticket(self, digest: bytes, kind: str, claims: dict[str, Any], life_s: float) -> None:
        self.kept[digest] = (kind, claims, life_s)

    async def use_ticket(self, digest: bytes) -> tuple[str, dict[str, Any]] | None:
        found = self.kept.pop(digest, None)
        return (found[0], found[1]) if found else None


@pytest.fixture
def login() -> Login:
    return Login(SECRET, Tickets())


def token(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    whole = {"sub": "7", "name": "Ann", "role": "agent", "sessions": [12], "exp": time.time() + 60, **claims}
    present = {name: value for name, value in whole.items() if value is not None}
    return jwt.encode(present, secret, algorithm=algorithm)


def test_a_token_brings_back_who_asked_for_it(login: Login) -> None:
    issued, expires_at = login.issue(AGENT, 60)

    found = login.verify(issued)
    assert (found.sub, found.name, found.role, found.sessions) == (
        "7",
        "Ann",
        Role.AGENT,
        frozenset({12, 13}),
    )
    assert found.expires_at == pytest.approx(expires_at, abs=1.5)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "x",
        "a.b.c",
        token("another-secret-of-at-least-32-characters"),
        token(exp=time.time() - 1),
        token(exp=None),
        token(role="owner"),
        token(role=None),
        token(sessions="12"),
        token(sessions={"12": True}),
        token(sessions=["x"]),
        token(sessions=[None]),
        token(algorithm="HS512"),
        jwt.encode({"sub": "7", "role": "admin", "sessions": "*", "exp": time.time() + 60}, None, "none"),  # type: ignore[arg-type]
    ],
    ids=range(14),
)
def test_a_token_that_is_not_quite_right_lets_nobody_in(login: Login, bad: str) -> None:
    with pytest.raises(Unauthenticated):
        login.verify(bad)


def test_a_shops_backend_may_mint_tokens_with_a_number_as_sub(login: Login) -> None:
    assert login.verify(token(sub=7)).sub == "7"


def test_a_token_without_sessions_sees_none(login: Login) -> None:
    assert login.verify(token(sessions=None)).sessions == frozenset()


def test_a_star_means_every_session(login: Login) -> None:
    assert login.verify(token(sessions="*")).sessions is None


@pytest.mark.parametrize("sessions", [None, frozenset[int](), frozenset({3, 1})])
def test_claims_and_principals_are_the_same_thing_twice(sessions: frozenset[int] | None) -> None:
    principal = Principal("7", "Ann", Role.VIEWER, sessions, 2_000_000_000.0)

    assert principal_of(claims_of(principal)) == principal


async def test_a_ticket_works_once_and_for_thirty_seconds() -> None:
    tickets = Tickets()
    login = Login(SECRET, tickets)
    ticket = await login.make_ticket("ws", AGENT)
    ((_, _, life_s),) = tickets.kept.values()

    assert life_s == TICKET_LIFE_S == 30
    assert (await login.use_ticket(ticket, ("ws",))).sessions == AGENT.sessions
    with pytest.raises(Unauthenticated):
        await login.use_ticket(ticket, ("ws",))


async def test_a_ticket_that_cannot_be_read_back_lets_nobody_in() -> None:
    tickets = Tickets()
    login = Login(SECRET, tickets)
    for changed in ({"sessions": [-1]}, {"role": "owner"}, {"grounds": "x"}):
        ticket = await login.make_ticket("ws", AGENT)
        for _, claims, _ in tickets.kept.values():
            claims.update(changed)
        with pytest.raises(Unauthenticated):
            await login.use_ticket(ticket, ("ws",))


@pytest.mark.parametrize("wrong", ["", "x", "é" * 43])
async def test_a_ticket_nobody_gave_out_lets_nobody_in(login: Login, wrong: str) -> None:
    with pytest.raises(Unauthenticated):
        await login.use_ticket(wrong, ("ws", "embed", "login"))


async def test_a_ticket_of_another_kind_lets_nobody_in_and_is_not_used_up_by_that(login: Login) -> None:
    ticket = await login.make_ticket("ws", AGENT)

    with pytest.raises(Unauthenticated):
        await login.use_ticket(ticket, ("login",))
    assert (await login.use_ticket(ticket, ("ws", "embed"))).sub == AGENT.sub
