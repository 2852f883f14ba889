"""What a caller sends, read by the models that `/openapi.json` shows: what is written there is what is checked.

A refusal is one sentence; `details` names the field, and `details.errors` has a sentence for each.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from gateway.domain.errors import Invalid
from gateway.domain.message import mend_text
from gateway.http.responses import fields_of

M = TypeVar("M", bound=BaseModel)

_COUNTED = 1_000_000
"""A number has its bounds told up to here; beyond they are those of the machine."""

_BOUNDS = frozenset({"greater_than_equal", "less_than_equal", "string_too_short", "string_too_long"})
"""What pydantic calls a value of the right type that is too small or too large."""

_MAX_DIGITS = 18
"""A bigint of Postgres holds any number of so many digits."""


def query_of(request: Request, model: type[M]) -> M:
    """The query as the model has it. Raises Invalid.

    An empty parameter is one that is missing, unless it must be a number; an unknown one is passed over.
    """
    values: dict[str, Any] = {}
    for name, field in zip(names_of(model), model.model_fields.values(), strict=True):
        value = _text(request, name)
        if value or (field.annotation is int and name in request.query_params):
            values[name] = value
    return checked(model, values)


async def body_as(request: Request, model: type[M]) -> M:
    """The JSON object of the body as the model has it; an empty body is an empty object. Raises Invalid."""
    return checked(model, await fields_of(request))


def checked(model: type[M], values: dict[str, Any]) -> M:
    """The values as the model has them. Raises Invalid with a sentence for each field that it refuses."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _refusal(model, error.errors(include_url=False)) from None


@cache
def number_in_path(request: Request, name: str, what: str) -> int:
    """The number that stands for `name` in the address. Raises Invalid, which says of what it is the number."""
    text = request.path_params[name]
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        return int(text)
    raise Invalid(f"The number of {what} is digits only, not {text[:40]!r}.")


def names_of(model: type[BaseModel]) -> tuple[str, ...]:
    """The names under which callers send the model's fields."""
    return tuple(field.alias or name for name, field in model.model_fields.items())


def _text(request: Request, name: str) -> str:
    value = request.query_params.get(name, "")
    if value != mend_text(value):
        raise Invalid(f"`{name}` holds a character that no text may have. Leave it out.")
    return value


# ------------------------------------------------------------------------------------------ refusals


def _refusal(model: type[BaseModel], found: Sequence[Mapping[str, Any]]) -> Invalid:
    errors: dict[str, list[str]] = {}
    for item in found:
        name = str(item["loc"][0])[:40] if item["loc"] else ""
        if name not in errors:  # the branches of a union each complain
            errors[name] = [_sentence(model, name, item)]
    first, (sentence, *_) = next(iter(errors.items()))
    if getattr(model, "is_form", False) and first not in sentence:
        sentence = f"{first}: {sentence}"
    if len(errors) > 1:
        sentence = "These fields cannot be used: " + ", ".join(sorted(errors)) + "."
    return Invalid(sentence, details={"field": first, "errors": errors} if first else None)


def _sentence(model: type[BaseModel], name: str, item: Mapping[str, Any]) -> str:
    match item["type"]:
        case "value_error":
            return str(item["ctx"]["error"])
        case "missing" if len(item["loc"]) == 1:
            return f"`{name}` is missing."
        case "extra_forbidden" if len(item["loc"]) == 1:
            return f"There is no field {name!r} here, only {', '.join(names_of(model))}."
    schema = _schema(model)
    if item["type"] in _BOUNDS and len(item["loc"]) > 1 and (inner := _property(schema, *item["loc"][:2])):
        return f"`{name}.{item['loc'][1]}` must be {_words(inner, schema.get('$defs', {}))}."
    return f"`{name}` must be {_words(schema['properties'][name], schema.get('$defs', {}))}."


def _property(schema: dict[str, Any], name: str, inner: object) -> dict[str, Any] | None:
    """The schema of a field of an object that is itself a field; None where that one is no object."""
    definitions = schema.get("$defs", {})
    for kind in (schema["properties"][name], *schema["properties"][name].get("anyOf", ())):
        whole = definitions.get(kind.get("$ref", "").rpartition("/")[2], kind)
        if found := whole.get("properties", {}).get(inner):
            return dict(found)
    return None


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _words(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    """What a value must be, in words."""
    if "$ref" in schema:
        return _words(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if kinds := schema.get("anyOf"):
        return " or ".join(_words(kind, definitions) for kind in kinds)
    if "const" in schema:
        return f'"{schema["const"]}"'
    if "enum" in schema:
        return "one of " + ", ".join(str(word) for word in schema["enum"])
    return _words_of_type(schema, definitions)


def _words_of_type(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    match schema.get("type"):
        case "integer" if schema.get("maximum", _COUNTED) < _COUNTED:
            return f"a number from {schema['minimum']} to {schema['maximum']}"
        case "integer":
            return "a whole number"
        case "number" if "minimum" in schema and "maximum" in schema:
            return f"a number from {schema['minimum']:g} to {schema['maximum']:g}"
        case "number":
            return "a number"
        case "boolean":
            return "true or false"
        case "string" if "maxLength" in schema:
            return f"text of {schema.get('minLength', 0)} to {schema['maxLength']} characters"
        case "string":
            return "text"
        case "array":
            most = f" of {schema.get('minItems', 0)} to {schema['maxItems']}" if "maxItems" in schema else ""
            return f"a list{most}, each {_words(schema['items'], definitions)}"
        case "null":
            return "null"
        case _:
            names = ", ".join(schema.get("properties", {}))
            return f"an object {{{names}}}"
