"""What the claims of a token say, read strictly: a claim of any size, type and kind is a principal or a ValueError."""

from collections.abc import Mapping
from typing import Any

from gateway.domain.access import Ground, Principal, Role
from gateway.domain.lines import one_line

MAX_TEXT = 200
"""Characters of a name or a `sub`."""

MAX_SESSIONS = 10_000
MAX_GROUNDS = 8
MAX_TIME = 253_402_300_799.0
"""The end of the year 9999, which is as far as dates go."""

MAX_ID = 2**63 - 1
PERSON = "user:"
"""How the `sub` of a person begins who logs in by name and password."""

Claims = Mapping[str, Any]


def principal_of(claims: Claims) -> Principal:
    """Raises ValueError on claims that are not ours."""
    sub = text_claim(claims, "sub") or text_claim(claims, "name") or "unknown"
    role = claims.get("role")
    if not isinstance(role, str):
        raise ValueError("role must be a word")
    login_id = claims.get("login")
    return Principal(
        sub=sub,
        name=text_claim(claims, "name") or sub,
        role=Role.parse(role),
        sessions=sessions_claim(claims.get("sessions")),
        expires_at=time_claim(claims, "exp"),
        grounds=_grounds(claims.get("grounds")),
        login_id=login_id if isinstance(login_id, str) else None,
    )


def claims_of(principal: Principal) -> dict[str, Any]:
    """The claims that `principal_of` reads back."""
    grounds = [[item.sub, item.jti, item.issued_at] for item in principal.grounds]
    return {
        "sub": principal.sub,
        "name": principal.name,
        "role": principal.role.word,
        "sessions": sessions_word(principal.sessions),
        **({"exp": int(principal.expires_at)} if principal.expires_at else {}),
        **({"grounds": grounds} if grounds else {}),
    }


def sessions_word(sessions: frozenset[int] | None) -> Any:
    """Sessions as claims and rows name them: a list, or "*" for all."""
    return "*" if sessions is None else sorted(sessions)


def sessions_claim(value: Any) -> frozenset[int] | None:
    """Sessions of a claim or a row; None = all. Nothing said means none. Raises ValueError."""
    if value == "*":
        return None
    if value is None:
        return frozenset()
    if not isinstance(value, list) or len(value) > MAX_SESSIONS:
        raise ValueError("sessions must be a list of ids, or '*'")
    return frozenset(_session_id(item) for item in value)


def _session_id(item: Any) -> int:
    if isinstance(item, str) and item.isascii() and item.isdigit() and len(item) <= 18:
        return int(item)
    if isinstance(item, int) and not isinstance(item, bool) and 0 <= item <= MAX_ID:
        return item
    raise ValueError("a session id is digits only")


def text_claim(claims: Claims, name: str) -> str | None:
    """A claim that is a text, or a number as a text; None if it is missing or empty. Raises ValueError."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_ID:
        return str(value)
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError(f"{name} must be a text of at most {MAX_TEXT} characters")
    return one_line(value) or None


def time_claim(claims: Claims, name: str) -> float | None:
    """A claim that is a time in unix seconds; None if it is missing. Raises ValueError."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number")
    if not 0 <= value <= MAX_TIME:  # which NaN is not
        raise ValueError(f"{name} must be a time in seconds")
    return float(value)


def own_ground(principal: Principal, claims: Claims) -> Ground:
    """What the token itself is known by, when it is revoked. Raises ValueError."""
    return Ground(principal.sub, text_claim(claims, "jti"), time_claim(claims, "iat"))


def _grounds(value: Any) -> tuple[Ground, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_GROUNDS:
        raise ValueError("grounds must be a short list")
    return tuple(_ground(item) for item in value)


def _ground(item: Any) -> Ground:
    if not isinstance(item, list) or len(item) != 3:
        raise ValueError("a ground has three parts")
    said = dict(zip(("sub", "jti", "iat"), item, strict=True))
    return Ground(text_claim(said, "sub") or "", text_claim(said, "jti"), time_claim(said, "iat"))
