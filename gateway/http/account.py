"""`/api/account`: one's own logins and password."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.domain.access import Principal
from gateway.domain.session import iso_utc
from gateway.http.api.account_schemas import PasswordFields
from gateway.http.auth import Gate, visitor_of
from gateway.http.requests import body_as
from gateway.http.responses import success
from gateway.services.auth.logins import BrowserLogin, Logins

BASE = "/api/account"


class AccountRoutes:
    """Shows and ends one's own logins, and changes one's own password."""

    def __init__(self, gate: Gate, logins: Logins) -> None:
        self._gate = gate
        self._logins = logins

    def routes(self) -> list[Route]:
        """The routes; all are behind the gate."""
        guard = self._gate.guard
        return [
            Route(f"{BASE}/logins", guard(self._list), methods=["GET"]),
            Route(f"{BASE}/logins", guard(self._end_others), methods=["DELETE"]),
            Route(f"{BASE}/logins/{{login}}", guard(self._end), methods=["DELETE"]),
            Route(f"{BASE}/password", guard(self._change_password), methods=["POST"]),
        ]

    async def _list(self, request: Request, principal: Principal) -> Response:
        return success([_data(item, principal) for item in await self._logins.mine(principal)])

    async def _end_others(self, request: Request, principal: Principal) -> Response:
        return success({"ended": await self._logins.end_others(principal)})

    async def _end(self, request: Request, principal: Principal) -> Response:
        await self._logins.end(principal, request.path_params["login"])
        return success(None)

    async def _change_password(self, request: Request, principal: Principal) -> Response:
        wish = await body_as(request, PasswordFields)
        await self._logins.change_password(
            principal, wish.current_password, wish.new_password, visitor_of(request)
        )
        return success(None)


def _data(login: BrowserLogin, principal: Principal) -> dict[str, Any]:
    return {
        "id": login.id,
        "address": login.address,
        "agent": login.agent,
        "created_at": iso_utc(login.created_at) if login.created_at else None,
        "seen_at": iso_utc(login.seen_at) if login.seen_at else None,
        "ends_at": iso_utc(login.ends_at) if login.ends_at else None,
        "is_current": login.id == principal.login_id,
    }
