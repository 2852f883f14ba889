"""`/api/webhook-targets`, for admins: who is sent webhooks, and what became of them."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.domain.access import Act, Principal
from gateway.domain.session import iso_utc
from gateway.domain.webhook_targets import told
from gateway.http.api.target_schemas import DeliveryQuery, NewTargetFields, RedriveFields, TargetFields
from gateway.http.auth import Gate
from gateway.http.cursors import make_cursor, parse_cursor
from gateway.http.requests import body_as, number_in_path, query_of
from gateway.http.responses import success
from gateway.services.webhook_targets.ports import DeliveryRow, Target
from gateway.services.webhook_targets.service import WebhookTargets

BASE = "/api/webhook-targets"
ONE = f"{BASE}/{{target}}"


class WebhookTargetRoutes:
    """Lists, adds, changes and removes targets; shows deliveries, and sends dead letters again."""

    def __init__(self, gate: Gate, targets: WebhookTargets) -> None:
        self._gate = gate
        self._targets = targets

    def routes(self) -> list[Route]:
        """The routes; all are behind the gate."""
        guard = self._gate.guard
        return [
            Route(BASE, guard(self._list), methods=["GET"]),
            Route(BASE, guard(self._add), methods=["POST"]),
            Route(ONE, guard(self._change), methods=["PUT"]),
            Route(ONE, guard(self._delete), methods=["DELETE"]),
            Route(f"{ONE}/deliveries", guard(self._deliveries), methods=["GET"]),
            Route(f"{ONE}/test", guard(self._test), methods=["POST"]),
            Route(f"{ONE}/redrive", guard(self._redrive), methods=["POST"]),
        ]

    async def _list(self, request: Request, principal: Principal) -> Response:
        found = await self._targets.all(principal)
        return success(
            [{**_data(target), "waiting": target.waiting, "dead": target.dead} for target in found]
        )

    async def _add(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.MANAGE)
        fields = (await body_as(request, NewTargetFields)).model_dump(exclude_unset=True, exclude_none=True)
        target, secret = await self._targets.add(fields, principal)
        return success({**_data(target), "secret": secret}, 201)

    async def _change(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.MANAGE)
        fields = (await body_as(request, TargetFields)).model_dump(exclude_unset=True, exclude_none=True)
        target, secret = await self._targets.change(_id(request), fields, principal)
        return success({**_data(target), **({} if secret is None else {"secret": secret})})

    async def _delete(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.MANAGE)
        await self._targets.delete(_id(request), principal)
        return success(None)

    async def _deliveries(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.MANAGE)
        asked = query_of(request, DeliveryQuery)
        before = parse_cursor(asked.cursor, int)
        rows = await self._targets.deliveries(
            _id(request), principal, asked.state, asked.limit + 1, before[0] if before else None
        )
        page = rows[: asked.limit]
        following = make_cursor(page[-1].id) if len(rows) > asked.limit else None
        return success([_delivery(row) for row in page], next_cursor=following)

    async def _test(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.MANAGE)
        answer = await self._targets.test(_id(request), principal)
        is_taken = answer.status is not None and 200 <= answer.status < 300
        return success({"is_taken": is_taken, "status": answer.status or None, "answer": told(answer)})

    async def _redrive(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.MANAGE)
        asked = await body_as(request, RedriveFields)
        return success({"redriven": await self._targets.redrive(_id(request), asked.ids, principal)})


def _id(request: Request) -> int:
    return number_in_path(request, "target", "a webhook target")


def _data(target: Target) -> dict[str, Any]:
    return {
        "id": target.id,
        "url": target.url,
        "sessions": "*" if target.sessions is None else list(target.sessions),
        "events": "*" if target.events is None else list(target.events),
        "mode": target.mode,
        "paused_reason": target.paused_reason,
        "paused_at": iso_utc(target.paused_at),
        "delivered_at": iso_utc(target.delivered_at),
        "created_at": iso_utc(target.created_at),
    }


def _delivery(row: DeliveryRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "message_id": row.message_id,
        "session_id": row.session_id,
        "chat": row.chat,
        "event": row.event,
        "state": row.state,
        "failures": row.failures,
        "answer": row.answer,
        "due_at": iso_utc(row.due_at),
        "created_at": iso_utc(row.made_at),
        "ended_at": iso_utc(row.ended_at),
    }
