"""`/api/templates`: agents choose from them, admins manage them."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.domain.access import Act, Principal
from gateway.http.api.template_schemas import NewTemplateFields, TemplateFields, TemplateQuery
from gateway.http.auth import Gate
from gateway.http.requests import body_as, number_in_path, query_of
from gateway.http.responses import success
from gateway.services.templates.service import Template, TemplateFile, Templates

BASE = "/api/templates"
ONE = f"{BASE}/{{template}}"


class TemplateRoutes:
    """Lists, adds, changes and removes templates, and gives their files out."""

    def __init__(self, gate: Gate, templates: Templates) -> None:
        self._gate = gate
        self._templates = templates

    def routes(self) -> list[Route]:
        """The routes; all are behind the gate."""
        guard = self._gate.guard
        return [
            Route(BASE, guard(self._list), methods=["GET"]),
            Route(BASE, guard(self._add), methods=["POST"]),
            Route(ONE, guard(self._change), methods=["PUT"]),
            Route(ONE, guard(self._delete), methods=["DELETE"]),
            Route(f"{ONE}/media", guard(self._take_file), methods=["POST"]),
        ]

    async def _list(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.SEND)
        asked = query_of(request, TemplateQuery)
        return success([_data(template) for template in await self._templates.list(principal, asked.session)])

    async def _add(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.MANAGE)
        fields = (await body_as(request, NewTemplateFields)).model_dump(exclude_unset=True)
        return success(_data(await self._templates.add(fields, principal)), 201)

    async def _change(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.MANAGE)
        fields = (await body_as(request, TemplateFields)).model_dump(exclude_unset=True)
        return success(_data(await self._templates.change(_id(request), fields, principal)))

    async def _delete(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.MANAGE)
        await self._templates.delete(_id(request), principal)
        return success(None)

    async def _take_file(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.SEND)
        return success(_file(await self._templates.take_file(_id(request), principal)), 201)


def _id(request: Request) -> int:
    return number_in_path(request, "template", "a template")


def _data(template: Template) -> dict[str, Any]:
    return {
        "id": template.id,
        "session_id": template.session_id,
        "shortcut": template.shortcut,
        "text": template.text,
        "media": None if template.file is None else _file(template.file),
    }


def _file(file: TemplateFile) -> dict[str, Any]:
    return {"id": file.id, "kind": file.kind, "mime": file.mime, "name": file.name, "bytes": file.bytes}
