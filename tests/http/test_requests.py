"""What a caller sends is checked by the model that documents it, and refused in one sentence that names the field."""

import ast
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field
from starlette.requests import Request

from gateway.domain.errors import Invalid
from gateway.http.api.operations import OPERATIONS
from gateway.http.api.schemas import NULLABLE, Asked, Body, Limit, ListedSessionWish, RoleWish, SessionWish
from gateway.http.requests import checked, query_of
from tests.house.reading import CHECKOUT

HTTP = CHECKOUT / "gateway" / "http"


class Inner(Body):
    off: int
    epoch: str


class Place(Body):
    name: str = Field(min_length=1, max_length=5)
    share: float | None = Field(None, ge=-90, le=90)


class Wish(Body):
    name: str = Field("x", min_length=1, max_length=5)
    kind: Literal["ws", "embed"] = Field("ws", alias="for")
    word: Literal["one"] = "one"
    limit: Limit = 50
    session: SessionWish | None = None
    listed: ListedSessionWish | None = None
    refresh: Asked | None = None
    role: RoleWish | None = None
    up_to: Inner | None = None
    ids: Annotated[list[str], Field(min_length=1, max_length=3)] = ["a"]  # noqa: RUF012  pydantic copies it
    done: bool | None = None
    place: Place | None = Field(None, json_schema_extra=NULLABLE)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"name": ""}, "`name` must be text of 1 to 5 characters."),
        ({"name": 7}, "`name` must be text of 1 to 5 characters."),
        ({"for": "x"}, "`for` must be one of ws, embed."),
        ({"word": "two"}, '`word` must be "one".'),
        ({"limit": "0"}, "`limit` must be a number from 1 to 200."),
        ({"limit": "9" * 5000}, "`limit` must be a number from 1 to 200."),
        ({"limit": True}, "`limit` must be a number from 1 to 200."),
        ({"session": "x"}, "A session id is digits only, as WasenderAPI gives it, not 'x'."),
        ({"session": -1}, "A session id is digits only, as WasenderAPI gives it, not '-1'."),
        ({"session": True}, "A session id is digits only, as WasenderAPI gives it, not 'True'."),
        ({"listed": "--1"}, "A session id is digits only, as WasenderAPI gives it, not '-1'."),
        ({"refresh": "perhaps"}, "`refresh` must be one of 1, 0, true, false."),
        ({"role": "owner"}, "`role` must be one of viewer, agent, admin."),
        ({"up_to": 7}, "`up_to` must be an object {off, epoch}."),
        ({"up_to": {"off": "1", "epoch": "x"}}, "`up_to` must be an object {off, epoch}."),
        ({"up_to": {"off": 1}}, "`up_to` must be an object {off, epoch}."),
        ({"place": {"name": ""}}, "`place.name` must be text of 1 to 5 characters."),
        ({"place": {"name": "x", "share": 91}}, "`place.share` must be a number from -90 to 90."),
        ({"place": {"name": "x", "share": "1"}}, "`place` must be an object {name, share} or null."),
        ({"ids": []}, "`ids` must be a list of 1 to 3, each text."),
        ({"ids": [1]}, "`ids` must be a list of 1 to 3, each text."),
        ({"done": "true"}, "`done` must be true or false."),
        ({"nonsense": 1}, "There is no field 'nonsense' here, only " + ", ".join(
            ("name", "for", "word", "limit", "session", "listed", "refresh", "role", "up_to", "ids", "done", "place")
        ) + "."),
    ],
)  # fmt: skip
def test_what_a_model_refuses_is_one_sentence_about_that_field(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Invalid) as refused:
        checked(Wish, values)

    (name,) = values
    assert refused.value.message == sentence
    assert refused.value.details == {"field": name, "errors": {name: [sentence]}}


def test_several_fields_are_refused_in_one_sentence_with_a_sentence_for_each() -> None:
    with pytest.raises(Invalid) as refused:
        checked(Wish, {"name": 7, "limit": 0})

    assert refused.value.message == "These fields cannot be used: limit, name."
    assert (refused.value.details or {})["errors"].keys() == {"name", "limit"}


def test_what_is_needed_and_not_there_is_named() -> None:
    class Needed(Body):
        ticket: str

    with pytest.raises(Invalid, match="`ticket` is missing"):
        checked(Needed, {})


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        (
            "session=12&listed=-5&refresh=1&limit=7",
            {"session": 12, "listed": -5, "refresh": True, "limit": 7},
        ),
        ("refresh=FALSE&role=Admin&for=embed", {"refresh": False, "role": "admin", "kind": "embed"}),
        ("session=&name=&of_another_tool=1", {}),
    ],
)
def test_a_query_is_read_as_the_model_has_it(query: str, expected: dict[str, Any]) -> None:
    assert query_of(asked(query), Wish).model_dump(exclude_unset=True) == expected


@pytest.mark.parametrize("query", ["name=%00", "limit=", "limit=%2B5", "limit=5.0", "session=1_0"])
def test_a_query_that_cannot_be_is_refused(query: str) -> None:
    with pytest.raises(Invalid):
        query_of(asked(query), Wish)


def asked(query: str) -> Request:
    return Request({"type": "http", "query_string": query.encode(), "headers": []})


def test_every_model_that_documents_a_query_or_a_body_is_what_it_is_read_by() -> None:
    """But what has WasenderAPI's own rules (files to decrypt), and a login link's ticket."""
    documented = {
        model.__name__
        for operation in OPERATIONS
        for model in (operation.query, operation.body)
        if model is not None and issubclass(model, Body)
    }

    assert documented - models_read() == {
        "DecryptRequest",
        "LoginQuery",
    }


def models_read() -> set[str]:
    return {
        ast.unparse(argument).rpartition(".")[2]
        for path in HTTP.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and len(node.args) > 1
        if ast.unparse(node.func) in ("query_of", "body_as", "checked")
        for argument in node.args
    }


def test_no_route_reads_a_query_past_its_model() -> None:
    readers = {path.name for path in HTTP.glob("*.py") if "query_params" in Path(path).read_text("utf-8")}

    # Before any route is asked, a ticket or a link instead of a login is looked at, and searches are counted; what
    # old clients know of WasenderAPI takes what it takes.
    assert readers == {"auth.py", "limits.py", "media.py", "old_clients_media.py", "requests.py"}
