"""The operations of `/api/templates`."""

from gateway.http.api import template_schemas as templates
from gateway.http.api.operation import BODY, STORE, Operation, Reply
from gateway.http.api.schemas import EmptyReply

_ALL = "/api/templates"
_ONE = f"{_ALL}/{{template}}"

TEMPLATES = [
    Operation(
        "GET", _ALL, "Sending", "list_templates", "Texts and files to choose from",
        (Reply(templates.TemplateListReply, text="By shortcut."),), "agent",
        query=templates.TemplateQuery, errors=("invalid", *STORE),
    ),
    Operation(
        "POST", _ALL, "Sending", "add_template", "A new template",
        (Reply(templates.TemplateReply, 201, "The new template."),),
        "admin", "One for all sessions needs a login for all sessions.",
        body=templates.NewTemplateFields, errors=(*BODY, "not_found", "conflict", *STORE),
    ),
    Operation(
        "PUT", _ONE, "Sending", "change_template", "Change a template",
        (Reply(templates.TemplateReply, text="The template as it is now."),),
        "admin", body=templates.TemplateFields, errors=(*BODY, "not_found", "conflict", *STORE),
    ),
    Operation(
        "DELETE", _ONE, "Sending", "delete_template", "Remove a template",
        (Reply(EmptyReply),), "admin", errors=("invalid", "not_found", *STORE),
    ),
    Operation(
        "POST", f"{_ONE}/media", "Sending", "take_template_file", "The file of a template, for one message",
        (Reply(templates.TemplateFileReply, 201, "An upload of yours: its `id` is `media` of the message."),),
        "agent", errors=("invalid", "not_found", *STORE),
    ),
]  # fmt: skip
