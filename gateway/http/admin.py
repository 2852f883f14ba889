"""`/api/admin`, for admins with all sessions: the cluster as a whole, and what doctor finds."""

from dataclasses import asdict
from datetime import datetime
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.domain.access import Act, Principal
from gateway.domain.session import iso_utc
from gateway.http.auth import Gate
from gateway.http.responses import success
from gateway.services.admin.overview import Overview


class Doctor(Protocol):
    """`gateway doctor`, as this gateway is set up."""

    async def findings(self) -> list[dict[str, Any]]:
        """One for each check. Raises Unavailable if it could not look, Conflict while it looks already."""


class AdminRoutes:
    """Serves what operators look at first."""

    def __init__(self, gate: Gate, overview: Overview, doctor: Doctor, gateway_id: str) -> None:
        """`gateway_id` is the gateway that answers."""
        self._gate = gate
        self._overview = overview
        self._doctor = doctor
        self._gateway_id = gateway_id

    def routes(self) -> list[Route]:
        """The routes, behind the gate."""
        guard = self._gate.guard
        return [
            Route("/api/admin/overview", guard(self._look), methods=["GET"]),
            Route("/api/admin/doctor", guard(self._examine), methods=["POST"]),
        ]

    async def _look(self, request: Request, principal: Principal) -> Response:
        principal.require_everything(Act.MANAGE)
        found = await self._overview.read()
        gateways = [
            {**_plain(asdict(row)), "is_here": row.id == self._gateway_id} for row in found["gateways"]
        ]
        sessions = [_plain(asdict(row)) for row in found["sessions"]]
        alerts = [_plain(asdict(row)) for row in found["alerts"]]
        return success({**found, "gateways": gateways, "sessions": sessions, "alerts": alerts})

    async def _examine(self, request: Request, principal: Principal) -> Response:
        principal.require_everything(Act.MANAGE)
        return success(await self._doctor.findings())


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its times as the API writes them."""
    return {name: iso_utc(value) if isinstance(value, datetime) else value for name, value in row.items()}
