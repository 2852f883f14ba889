"""`/api/people`: people who log in by name and password. For admins, each within his own role and sessions."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.domain.access import Act, Principal
from gateway.domain.session import iso_utc
from gateway.http.api.account_schemas import NewPerson, PersonFields
from gateway.http.auth import Gate
from gateway.http.requests import body_as, number_in_path
from gateway.http.responses import success
from gateway.services.auth.login import Login
from gateway.services.auth.people import LINK_LIFE_S, People, Person, described

BASE = "/api/people"


class PeopleRoutes:
    """Lists, adds, changes and removes people."""

    def __init__(self, gate: Gate, people: People, login: Login) -> None:
        """`login` makes the tickets of login links."""
        self._login = login
        self._gate = gate
        self._people = people

    def routes(self) -> list[Route]:
        """The routes; all are behind the gate."""
        guard = self._gate.guard
        return [
            Route(BASE, guard(self._list), methods=["GET"]),
            Route(BASE, guard(self._add), methods=["POST"]),
            Route(f"{BASE}/{{person}}", guard(self._change), methods=["PUT"]),
            Route(f"{BASE}/{{person}}", guard(self._delete), methods=["DELETE"]),
            Route(f"{BASE}/{{person}}/login-link", guard(self._login_link), methods=["POST"]),
        ]

    async def _list(self, request: Request, principal: Principal) -> Response:
        return success([_data(person) for person in await self._people.all(principal)])

    async def _add(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.MANAGE)
        person = await self._people.add(_said(await body_as(request, NewPerson)), principal)
        return success(_data(person), 201)

    async def _change(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.MANAGE)
        said = _said(await body_as(request, PersonFields))
        person = await self._people.change(_id(request), said, principal)
        return success(_data(person))

    async def _delete(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.MANAGE)
        await self._people.delete(_id(request), principal)
        return success(None)

    async def _login_link(self, request: Request, principal: Principal) -> Response:
        """The page puts its own address before the path: it knows best under which one people reach it."""
        principal.require(Act.MANAGE)
        meant = await self._people.for_link(_id(request), principal)
        ticket = await self._login.make_ticket("login", meant, LINK_LIFE_S)
        data = {"path": f"/login?ticket={ticket}", "expires_in_s": LINK_LIFE_S}
        return success(data, 201, headers={"Cache-Control": "no-store"})


def _said(fields: NewPerson | PersonFields) -> dict[str, Any]:
    """Only what the caller has sent."""
    return fields.model_dump(exclude_unset=True)


def _id(request: Request) -> int:
    return number_in_path(request, "person", "a person")


def _data(person: Person) -> dict[str, Any]:
    data = described(person)
    return {
        **data,
        "disabled_at": iso_utc(person.disabled_at) if person.disabled_at else None,
        "created_at": iso_utc(person.created_at) if person.created_at else None,
    }
