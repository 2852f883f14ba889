"""Templates: agents choose them by typing `/`, admins manage those of their sessions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.domain.access import Act, Principal
from gateway.domain.errors import Conflict, Invalid, NotFound

MOST = 1000
"""Templates of one installation: a list that people choose from."""

_SHORTCUT = re.compile(r"[^\s/]{1,32}")


@dataclass(frozen=True, slots=True)
class TemplateFile:
    """The file of a template."""

    id: str
    kind: str
    mime: str | None
    name: str | None
    bytes: int


@dataclass(frozen=True, slots=True)
class Template:
    """A text, a file, or both."""

    id: int
    session_id: int | None
    """None for all sessions."""
    shortcut: str
    text: str
    file: TemplateFile | None


class TemplateStore(Protocol):
    """The rows of templates. Everything raises StoreUnavailable."""

    async def all(self) -> list[Template]:
        """Every template, by shortcut."""

    async def add(self, fields: Mapping[str, Any], maker: str, most: int) -> Template | None:
        """A new one; None where there are `most` already.

        Raises Conflict for a shortcut that is taken, and Invalid for a file that is no upload of the maker.
        """

    async def change(self, template_id: int, fields: Mapping[str, Any], maker: str) -> Template | None:
        """The template as it is then; None if there is none. Raises Conflict and Invalid as `add` does."""

    async def delete(self, template_id: int) -> bool:
        """Removes it; False if there is none."""

    async def copy_file(self, template: Template, maker: str) -> TemplateFile | None:
        """A new upload of the maker with the template's file; None if the file is gone."""


class Templates:
    """What people may do with templates."""

    def __init__(self, store: TemplateStore) -> None:
        self._store = store

    async def list(self, principal: Principal, session_id: int | None) -> list[Template]:
        """Those that the principal may send: of one session, or of all. Raises Forbidden."""
        principal.require(Act.SEND, session_id)
        return [
            template
            for template in await self._store.all()
            if template.session_id is None
            or (principal.covers(template.session_id) and session_id in (None, template.session_id))
        ]

    async def add(self, fields: Mapping[str, Any], principal: Principal) -> Template:
        """A new template. Raises Invalid, Conflict, Forbidden."""
        _require(principal, fields.get("session_id"))
        _check(fields.get("shortcut"), fields.get("text") or "", fields.get("media"))
        template = await self._store.add(fields, principal.sub, MOST)
        if template is None:
            raise Conflict(f"There are {MOST} templates already. Remove one first.")
        return template

    async def change(self, template_id: int, fields: Mapping[str, Any], principal: Principal) -> Template:
        """Changes what is sent. Raises Invalid, Conflict, NotFound, Forbidden."""
        before = await self._one(template_id)
        _require(principal, before.session_id)
        if "session_id" in fields:
            _require(principal, fields["session_id"])
        media = fields.get("media", before.file)
        _check(fields.get("shortcut", before.shortcut), fields.get("text", before.text), media)
        template = await self._store.change(template_id, fields, principal.sub)
        if template is None:
            raise _none(template_id)
        return template

    async def delete(self, template_id: int, principal: Principal) -> None:
        """Removes a template, with its file. Raises NotFound, Forbidden."""
        _require(principal, (await self._one(template_id)).session_id)
        if not await self._store.delete(template_id):
            raise _none(template_id)

    async def take_file(self, template_id: int, principal: Principal) -> TemplateFile:
        """An upload of the principal's own, for one message. Raises NotFound, Forbidden."""
        template = await self._one(template_id)
        principal.require(Act.SEND, template.session_id)
        found = await self._store.copy_file(template, principal.sub) if template.file else None
        if found is None:
            raise NotFound(f"Template {template_id} has no file.")
        return found

    async def _one(self, template_id: int) -> Template:
        for template in await self._store.all():
            if template.id == template_id:
                return template
        raise _none(template_id)


def _require(principal: Principal, session_id: int | None) -> None:
    if session_id is None:
        principal.require_everything(Act.MANAGE)
    else:
        principal.require(Act.MANAGE, session_id)


def _check(shortcut: object, text: str, media: object) -> None:
    if not isinstance(shortcut, str) or not _SHORTCUT.fullmatch(shortcut):
        raise Invalid(
            "A shortcut is 1 to 32 characters without spaces and slashes.",
            details={
                "field": "shortcut",
                "errors": {"shortcut": ["1 to 32 characters without spaces and slashes."]},
            },
        )
    if not text.strip() and not media:
        raise Invalid(
            "A template needs a text or a file.",
            details={"field": "text", "errors": {"text": ["Write a text, or add a file."]}},
        )


def _none(template_id: int) -> NotFound:
    return NotFound(f"There is no template {template_id}.")
