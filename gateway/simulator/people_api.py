"""Contacts, numbers and groups: small but right in shape. They know whoever a session has met in a chat."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.simulator import identity, replies
from gateway.simulator.chats import Chats
from gateway.simulator.engine import Engine
from gateway.simulator.pages import maybe_paged
from gateway.simulator.replies import session_refusal, success
from gateway.simulator.session_api import SessionGate
from gateway.simulator.state import Contact, Group, SimulatedSession

_GROUP = "/groups/{jid}"


def contact_object(contact: Contact) -> dict[str, Any]:
    """A contact as upstream shows it."""
    jid = identity.phone_jid(contact.phone)
    return {
        "id": jid,
        "jid": jid,
        "lid": contact.lid if contact.lid_known else None,
        "name": contact.name or None,
        "notify": contact.name or None,
        "verifiedName": None,
        "imgUrl": None,
        "status": None,
    }


class PeopleApi:
    """Answers what a session's key may ask of contacts, numbers and groups."""

    def __init__(self, engine: Engine, chats: Chats) -> None:
        self._engine = engine
        self._chats = chats
        self._gate = SessionGate(engine)

    def routes(self) -> list[BaseRoute]:
        """The routes, below the API's root."""
        return [
            Route("/contacts", self.contacts, methods=["GET"]),
            Route("/contacts", self.save_contact, methods=["PUT"]),
            Route("/contacts/{phone}", self.contact, methods=["GET"]),
            Route("/contacts/{phone}/picture", self.picture, methods=["GET"]),
            Route("/contacts/{phone}/block", self.block, methods=["POST"]),
            Route("/contacts/{phone}/unblock", self.block, methods=["POST"]),
            Route("/on-whatsapp/{id}", self.on_whatsapp, methods=["GET"]),
            Route("/lid-from-pn/{pn}", self.lid_from_pn, methods=["GET"]),
            Route("/pn-from-lid/{lid}", self.pn_from_lid, methods=["GET"]),
            Route("/fetch-username/{id}", self.username, methods=["GET"]),
            Route("/groups", self.groups, methods=["GET"]),
            Route("/groups", self.create_group, methods=["POST"]),
            Route("/groups/invite/accept", self.accept_invite, methods=["POST"]),
            Route("/groups/invite/{code}", self.invite, methods=["GET"]),
            Route(_GROUP + "/metadata", self.metadata, methods=["GET"]),
            Route(_GROUP + "/participants", self.participants, methods=["GET"]),
            Route(_GROUP + "/picture", self.picture, methods=["GET"]),
            Route(_GROUP + "/invite-link", self.invite_link, methods=["GET"]),
            Route(_GROUP + "/participants/{act}", self.change_participants, methods=["POST", "PUT"]),
            Route(_GROUP + "/settings", self.group_settings, methods=["PUT"]),
            Route(_GROUP + "/leave", self.leave, methods=["POST"]),
        ]

    # ------------------------------------------------------------------ people

    def _book(self, session: SimulatedSession) -> dict[str, Contact]:
        return self._engine.world.contacts.setdefault(session.id, {})

    def _person(self, request: Request, session: SimulatedSession) -> Contact:
        found = self._book(session).get(identity.digits(request.path_params["phone"].partition("@")[0]))
        if found is None:
            raise session_refusal(404, "Contact not found.")
        return found

    async def contacts(self, request: Request) -> Response:
        """`GET /contacts`: everyone the session has met, in pages if the query asks for them."""
        book = self._book(self._gate.connected(request))
        return success(maybe_paged(request, [contact_object(contact) for contact in book.values()]))

    async def save_contact(self, request: Request) -> Response:
        """`PUT /contacts`: gives a number a name."""
        session = self._gate.connected(request)
        body = await replies.read_json(request)
        jid = str(body.get("jid", ""))
        if not identity.is_phone(jid.partition("@")[0]):
            raise replies.validation_refusal({"jid": ["The jid field is required."]})
        self._chats.contact(session, jid.partition("@")[0], body.get("fullName"))
        self._engine.changed(urgent=False)
        return success({"jid": jid, "fullName": body.get("fullName")})

    async def contact(self, request: Request) -> Response:
        """`GET /contacts/{phone}`: one contact."""
        return success(contact_object(self._person(request, self._gate.connected(request))))

    async def picture(self, request: Request) -> Response:
        """A contact's picture: there is none."""
        self._gate.take(request, "picture", self._gate.connected(request), 60)
        return success({"imgUrl": None})

    async def block(self, request: Request) -> Response:
        """Blocks or unblocks a contact."""
        session = self._gate.connected(request)
        blocked = not request.url.path.endswith("/unblock")
        self._chats.contact(session, request.path_params["phone"].partition("@")[0]).blocked = blocked
        self._engine.changed(urgent=False)
        return success({"message": "Contact blocked" if blocked else "Contact unblocked"})

    async def on_whatsapp(self, request: Request) -> Response:
        """Whether a number has WhatsApp."""
        self._gate.take(request, "on-whatsapp", self._gate.connected(request), 60)
        number = identity.digits(request.path_params["id"])
        return success({"exists": bool(number) and number not in self._engine.world.not_on_whatsapp})

    async def lid_from_pn(self, request: Request) -> Response:
        """The hidden address of a number, where it has one."""
        self._gate.connected(request)
        number = identity.digits(request.path_params["pn"].partition("@")[0])
        if not number or number in self._engine.world.not_on_whatsapp:
            raise session_refusal(404, "LID not found for this phone number.")
        return success({"lid": identity.lid_of(number)})

    async def pn_from_lid(self, request: Request) -> Response:
        """The number behind a hidden address, where the session has met it."""
        book = self._book(self._gate.connected(request))
        lid = request.path_params["lid"].partition("@")[0] + "@lid"
        for contact in book.values():
            if contact.lid == lid and contact.lid_known:
                return success({"pn": identity.phone_jid(contact.phone)})
        raise session_refusal(404, "Phone number not found for this LID.")

    async def username(self, request: Request) -> Response:
        """A contact's user name: there is none."""
        self._gate.connected(request)
        return success({"jid": request.path_params["id"], "username": None})

    # ------------------------------------------------------------------ groups

    def _groups(self, session: SimulatedSession) -> dict[str, Group]:
        return self._engine.world.groups.setdefault(session.id, {})

    def _group(self, request: Request) -> Group:
        found = self._groups(self._gate.connected(request)).get(request.path_params["jid"])
        if found is None:
            raise session_refusal(404, "Group not found.")
        return found

    async def groups(self, request: Request) -> Response:
        """The groups that the session is in."""
        groups = self._groups(self._gate.connected(request)).values()
        rows = [
            {"id": group.jid, "jid": group.jid, "name": group.subject, "imgUrl": None} for group in groups
        ]
        return success(maybe_paged(request, rows))

    async def create_group(self, request: Request) -> Response:
        """Makes a group with the session as its owner."""
        session = self._gate.connected(request)
        body = await replies.read_json(request)
        if not isinstance(body.get("name"), str) or not body["name"]:
            raise replies.validation_refusal({"name": ["The name field is required."]})
        group = self._chats.group(session, body["name"])
        _add(group, body.get("participants"))
        self._engine.changed()
        return success(_metadata(group), 201)

    async def metadata(self, request: Request) -> Response:
        """What a group is called, who is in it and how it is set."""
        self._gate.take(request, "metadata", self._gate.connected(request), 10)
        return success(_metadata(self._group(request)))

    async def participants(self, request: Request) -> Response:
        """Who is in a group."""
        self._gate.take(request, "participants", self._gate.connected(request), 10)
        members = self._group(request).participants
        return success([{"id": jid, "admin": rank} for jid, rank in members.items()])

    async def invite_link(self, request: Request) -> Response:
        """The address that lets people into a group."""
        code = self._group(request).jid.partition("@")[0]
        return JSONResponse({"success": True, "inviteLink": f"https://chat.whatsapp.com/{code}"})

    def _invited(self, session: SimulatedSession, code: str) -> Group:
        group = self._groups(session).get(f"{code}@g.us")
        if group is None:
            raise session_refusal(404, "The invite code is not valid.")
        return group

    async def invite(self, request: Request) -> Response:
        """The group behind an invitation."""
        group = self._invited(self._gate.connected(request), request.path_params["code"])
        members = [{"id": jid, "admin": rank} for jid, rank in group.participants.items()]
        return success(_metadata(group) | {"participants": members})

    async def accept_invite(self, request: Request) -> Response:
        """Joins the group behind an invitation."""
        session = self._gate.connected(request)
        code = str((await replies.read_json(request)).get("code", ""))
        return success({"id": self._invited(session, code).jid})

    async def change_participants(self, request: Request) -> Response:
        """Adds, removes, promotes or demotes members of a group."""
        group = self._group(request)
        body, act = await replies.read_json(request), request.path_params["act"]
        if act not in ("add", "remove", "update"):
            raise session_refusal(404, "Not found.")
        wished = [str(jid) for jid in body.get("participants") or ()]
        if act == "add":
            _add(group, wished)
        for jid in wished:
            if act == "remove":
                group.participants.pop(jid, None)
            elif act == "update" and jid in group.participants:
                group.participants[jid] = "admin" if body.get("action") == "promote" else None
        self._engine.changed(urgent=False)
        return success([{"status": 200, "jid": jid, "message": act} for jid in wished])

    async def group_settings(self, request: Request) -> Response:
        """Changes how a group is set, its subject among it."""
        group = self._group(request)
        group.settings |= await replies.read_json(request)
        group.subject = str(group.settings.get("subject", group.subject))
        self._engine.changed(urgent=False)
        return success({"subject": group.subject, "description": group.settings.get("description")})

    async def leave(self, request: Request) -> Response:
        """Leaves a group, which the session then knows no more."""
        group = self._group(request)
        del self._groups(self._gate.session(request))[group.jid]
        self._engine.changed()
        return success({})


def _add(group: Group, wished: Any) -> None:
    for one in wished if isinstance(wished, list) else ():
        jid = str(one) if "@" in str(one) else identity.phone_jid(str(one))
        group.participants.setdefault(jid, None)


def _metadata(group: Group) -> dict[str, Any]:
    members = [
        {"id": jid, "jid": jid, "isAdmin": rank is not None, "isSuperAdmin": rank == "superadmin"}
        for jid, rank in group.participants.items()
    ]
    return {
        "id": group.jid,
        "jid": group.jid,
        "subject": group.subject,
        "creation": int(group.created_at),
        "owner": group.owner,
        "desc": group.settings.get("description"),
        "size": len(members),
        "participants": members,
    }
