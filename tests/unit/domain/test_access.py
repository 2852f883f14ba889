"""Who may do what."""

import pytest

from gateway.domain.access import Act, Principal, Role
from gateway.domain.errors import Forbidden, Invalid
from gateway.domain.session import UNASSIGNED


def principal(role: Role = Role.AGENT, sessions: set[int] | None = None) -> Principal:
    return Principal("7", "Ann", role, None if sessions is None else frozenset(sessions))


@pytest.mark.parametrize(
    ("act", "roles"),
    [
        (Act.READ, "viewer agent admin"),
        (Act.MARK_READ, "agent admin"),
        (Act.SEND, "agent admin"),
        (Act.CONNECT, "agent admin"),
        (Act.SEE_QR, "agent admin"),
        (Act.MANAGE, "admin"),
    ],
)
def test_each_act_needs_its_role_and_every_higher_one_will_do(act: Act, roles: str) -> None:
    assert [role.word for role in Role if principal(role).can(act)] == roles.split()
    for role in Role:
        if role.word not in roles.split():
            with pytest.raises(Forbidden):
                principal(role).require(act)


def test_a_session_list_is_a_limit_for_every_role() -> None:
    for role in Role:
        limited = principal(role, {12})
        assert limited.can(Act.READ, 12)
        assert not limited.can(Act.READ, 13)
        with pytest.raises(Forbidden, match="Session 13"):
            limited.require(Act.READ, 13)


def test_an_empty_list_is_no_session_and_not_every_session() -> None:
    assert not principal(sessions=set()).can(Act.READ, 12)


@pytest.mark.parametrize(("sessions", "may"), [(None, True), ({0}, False), ({12}, False)])
def test_rows_without_a_session_are_only_for_who_may_see_all(sessions: set[int] | None, may: bool) -> None:
    assert principal(sessions=sessions).can(Act.READ, UNASSIGNED) is may


@pytest.mark.parametrize("word", ["viewer", "Agent", "ADMIN"])
def test_roles_are_read_in_any_casing(word: str) -> None:
    assert Role.parse(word).word == word.lower()


@pytest.mark.parametrize("word", ["owner", "", None, 3, "3", ["admin"]])
def test_a_word_that_is_no_role_is_invalid(word: object) -> None:
    with pytest.raises(Invalid):
        Role.parse(word)


@pytest.mark.parametrize(
    ("own", "role", "sessions"),
    [
        ({12}, Role.ADMIN, None),
        ({12}, None, {12, 13}),
        ({12}, None, {13}),
        ({12}, Role.ADMIN, {12}),
        (set[int](), None, {12}),
    ],
)
def test_nobody_can_be_narrowed_to_more_than_he_has(
    own: set[int], role: Role | None, sessions: set[int] | None
) -> None:
    with pytest.raises(Forbidden):
        principal(Role.AGENT, own).narrowed(role, sessions)


def test_narrowing_takes_away_and_keeps_the_rest() -> None:
    found = principal(Role.ADMIN).narrowed(Role.VIEWER, [12])
    same = principal(Role.AGENT, {12, 13}).narrowed(None, None)

    assert (found.role, found.sessions, found.sub) == (Role.VIEWER, frozenset({12}), "7")
    assert (same.role, same.sessions) == (Role.AGENT, frozenset({12, 13}))
