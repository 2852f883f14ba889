"""The description of the API is valid, complete, and true of the running server."""

import json
import re
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate
from starlette.routing import Mount, Route

from gateway.domain.access import Role
from gateway.http.api.openapi import MEANINGS, document
from gateway.http.api.operation import Operation
from gateway.http.api.operations import OPERATIONS
from gateway.http.errors import STATUSES
from tests.http.support import Shop
from tests.launcher.running import Running

NOT_THE_API = {
    "/": "the page",
    "/people": "the page",
    "/account": "the page",
    "/targets": "the page",
    "/admin": "the page",
    "/favicon.ico": "the page's icon",
    "/docs": "this description, for people",
    "/openapi.json": "this description, for programs",
    "/asyncapi.json": "the description of the WebSockets",
    "/rest/v1": "a sentence for those who look for Supabase's tables here",
    "/rest/v1/{rest:path}": "the same",
    "/ws": "a sentence for those whose proxy takes the handshake's headers away",
    "/realtime/v1/websocket": "the same",
    "/realtime/v1/api/{rest:path}": "a sentence for those who broadcast by REST",
}
CHAT = "15550002222"


def served(routes: list[Any]) -> set[tuple[str, str]]:
    """Method and path of every plain route; HEAD comes with GET, and mounts are pages and the simulator."""
    plain = [route for route in routes if isinstance(route, Route)]
    return {
        (method, re.sub(r":\w+}", "}", route.path))
        for route in plain
        for method in route.methods or ()
        if method != "HEAD" and route.path not in NOT_THE_API
    }


def described(paths: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        (method.upper(), path)
        for path, item in paths.items()
        for method in ("get", "post", "put", "delete", "patch")
        if method in item
    }


def test_the_document_is_valid_openapi() -> None:
    validate(document())


def test_every_error_code_is_explained() -> None:
    assert set(MEANINGS) == set(STATUSES) - {"config"}


def test_operation_ids_are_unique() -> None:
    ids = [
        operation["operationId"]
        for item in document()["paths"].values()
        for key, operation in item.items()
        if key != "parameters"
    ]

    assert sorted(ids) == sorted(set(ids))


def test_every_example_fits_its_schema() -> None:
    whole = document()
    for where, schema, example in examples_of(whole):
        rooted = {**schema, "components": whole["components"]}  # so that its references find something
        complaints = OAS31Validator(rooted).iter_errors(example)
        assert [item.message for item in complaints] == [], where


def examples_of(value: Any, where: str = "") -> list[tuple[str, Any, Any]]:
    """Every schema that stands beside an example, with it."""
    found: list[tuple[str, Any, Any]] = []
    if isinstance(value, dict):
        if "schema" in value:
            shown = [value["example"]] if "example" in value else []
            shown += [item["value"] for item in value.get("examples", {}).values()]
            found += [(where, value["schema"], item) for item in shown]
        for key, item in value.items():
            found += examples_of(item, f"{where}/{key}")
    elif isinstance(value, list):
        for item in value:
            found += examples_of(item, where)
    return found


async def test_the_document_names_exactly_the_routes_that_are_served(shared_gateway: Running) -> None:
    routes = shared_gateway.gateway.app.routes
    status, spec = await shared_gateway.call("GET", "/openapi.json", token="")

    assert status == 200
    assert served(routes) == described(spec["paths"])
    assert {route.path for route in routes if isinstance(route, Mount)} <= {
        "/ui", "/simulator", "/simulator/api", "/_simulator"
    }  # fmt: skip


async def test_the_description_is_open_and_holds_nothing_of_this_installation(
    shared_gateway: Running,
) -> None:
    page_status, page = await shared_gateway.call("GET", "/docs", token="")
    _, spec = await shared_gateway.call("GET", "/openapi.json", token="")

    assert page_status == 200
    assert "<script" in page
    for private in (
        shared_gateway.url,
        shared_gateway.gateway.database_url,
        str(shared_gateway.gateway.settings.data_dir),
    ):
        assert private not in json.dumps(spec) + page


@pytest.mark.parametrize("operation", [item for item in OPERATIONS if item.role is None], ids=lambda o: o.id)
async def test_an_open_operation_asks_for_no_login(operation: Operation, shared_gateway: Running) -> None:
    _, reply = await shared_gateway.call(operation.method, path_of(operation, 1), token="")

    assert "Log in first" not in str(reply)


async def test_every_other_operation_refuses_nobody_and_the_role_below_and_takes_the_documented_one(
    shop: Shop,
) -> None:
    session_id = await shop.create()
    for operation in (item for item in OPERATIONS if item.role):
        needed = Role.parse(operation.role)
        path = path_of(operation, session_id)

        status, reply = await shop.gateway.call(operation.method, path, token="")
        assert (status, reply["code"]) == (401, "unauthenticated"), operation.id

        if needed > Role.VIEWER:
            below = shop.gateway.token(Role(needed - 1))
            status, reply = await shop.gateway.call(operation.method, path, token=below)
            assert (status, reply["code"]) == (403, "forbidden"), operation.id

        # A body that fits no model: the role is looked at first, and nothing is done.
        enough = shop.gateway.token(needed, {session_id} if operation.needs_one_session else None)
        status, _ = await shop.gateway.call(operation.method, path, ["nothing"], token=enough)
        assert status not in (401, 403), operation.id


def path_of(operation: Operation, session_id: int) -> str:
    path = operation.path.replace("{id}", str(session_id)).replace("{chat}", CHAT)
    return (
        path.replace("{entry}", "4711")
        .replace("{person}", "4711")
        .replace("{login}", "4711")
        .replace("{media}", "4711")
        .replace("{number}", "4711")
        .replace("{row}", "4711")
    )
