"""`GET /ws`: who comes in, what they ask for, and when they must go."""

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence

from starlette.websockets import WebSocket

from gateway.domain.access import Act
from gateway.domain.errors import GatewayError, StoreUnavailable, Unauthenticated
from gateway.domain.presence import Person
from gateway.domain.streams import (
    Extent,
    Inbox,
    InboxTopic,
    Position,
    SessionsTopic,
    SessionTopic,
    Snapshot,
    check_position,
    is_beyond,
    is_within,
)
from gateway.realtime import close_codes
from gateway.realtime.connections import Seat, transport_of
from gateway.realtime.context import EndpointContext
from gateway.realtime.hub.follower import RESETS
from gateway.realtime.native import protocol
from gateway.realtime.native.authentication import SocketAuthentication, SocketRefused, refuse
from gateway.realtime.native.connection import Connection
from gateway.realtime.transport.framing import MAX_FRAME_BYTES
from gateway.realtime.transport.socket_transport import SocketTransport
from gateway.services.auth.login import Login
from gateway.services.auth.login_cookie import LoginCookie
from gateway.services.live.session_states import SessionStates
from gateway.services.live.state_values import StateValues
from gateway.services.presence.presence import Word

logger = logging.getLogger(__name__)

MAX_STRANGE_INBOXES = 200
"""Inboxes of no session that are made because a client subscribed to them; each is one row for all clients."""


class Realtime:
    """Everything a socket of our own dialect needs."""

    def __init__(
        self,
        context: EndpointContext,
        *,
        states: SessionStates,
        values: StateValues,
        login: Login,
        cookie: LoginCookie,
        max_topics: int,
    ) -> None:
        self._hub = context.hub
        self._feed = context.feed
        self._streams = context.streams
        self._staleness = context.staleness
        self._connections = context.connections
        self._states = states
        self._values = values
        self._presence = context.presence
        self._login = login
        self._max_topics = max_topics
        self._authentication = SocketAuthentication(
            login, context.origins, cookie, context.connections.rates, context.pace.first_frame_s
        )
        self._pace = context.pace
        self._strange_inboxes: set[Inbox] = set()

    # ------------------------------------------------------------------------------------------ one socket

    async def serve(self, socket: WebSocket) -> None:
        """Serves one socket from its handshake to its close."""
        await socket.accept()
        async with transport_of(socket) as transport:
            admitted = await self._admit(socket, transport)
            if admitted is None:
                return
            connection, seat = admitted
            try:
                await self._connections.serve(
                    socket,
                    connection,
                    greet=lambda: self._greet(connection),
                    hear=lambda message: self._hear(connection, message.get("text")),
                )
            finally:
                self._presence.leave(connection.name)
                seat.leave()

    async def _admit(self, socket: WebSocket, transport: SocketTransport) -> tuple[Connection, Seat] | None:
        """A connection with a principal, and its seat; None after a refusal (accept, then close with a code)."""
        try:
            principal = await self._authentication.principal(socket)
        except SocketRefused as refusal:
            self._connections.note_refused(socket, refusal.code, refusal.reason)
            await refuse(socket, transport, refusal.code, refusal.reason)
            return None
        if self._connections.is_draining:
            await refuse(socket, transport, close_codes.RESTART, "the gateway restarts")
            return None
        if self._connections.is_full:
            self._connections.note_refused(socket, close_codes.TOO_MANY, "too many connections")
            await refuse(socket, transport, close_codes.TOO_MANY, "too many connections")
            return None
        seat = self._connections.take_seat(socket, principal.sub)
        if seat is None:
            await refuse(socket, transport, close_codes.TOO_MANY, "too many connections of this login")
            return None
        transport.heard()
        name = secrets.token_hex(6)
        return Connection(name, principal, transport, self._hub, self._streams, self._pace), seat

    def _greet(self, connection: Connection) -> None:
        self._hub.connections.add(connection)
        connection.reply(protocol.welcome(connection.name))
        if self._staleness.stale_since is not None:
            connection.reply(protocol.stale(self._staleness.stale_since))

    # ------------------------------------------------------------------------------------------ frames

    async def _hear(self, connection: Connection, text: str | None) -> None:
        if text is None:
            return connection.close(close_codes.BAD_FRAME, "text frames only")
        # Our server class refuses longer ones unread; others may let them through. No text is shorter in bytes.
        if len(text) > MAX_FRAME_BYTES or len(text.encode()) > MAX_FRAME_BYTES:
            return connection.close(close_codes.TOO_LARGE, "frames of at most 256 KiB only")
        try:
            frame = protocol.parse(text)
            match frame:
                case protocol.Ping(ref):
                    connection.reply(protocol.pong(ref))
                case protocol.Auth(ref, token):
                    await self._renew(connection, ref, token)
                case protocol.Unsubscribe(ref, name):
                    if connection.leave(name):
                        connection.reply(protocol.unsubscribed(ref, name))
                    else:
                        connection.reply(protocol.error(ref, "not_subscribed", f"{name} is not subscribed."))
                case protocol.Subscribe():
                    await self._subscribe(connection, frame)
                case protocol.SayPresence():
                    self._say_presence(connection, frame)
        except protocol.BadFrame as error:
            if error.is_fatal:
                connection.close(close_codes.BAD_FRAME, error.message)
            else:
                connection.reply(protocol.error(error.ref, "bad_frame", error.message))

    def _say_presence(self, connection: Connection, said: protocol.SayPresence) -> None:
        principal = connection.principal
        try:
            principal.require(Act.READ, said.inbox)
        except GatewayError as error:
            connection.reply(protocol.error(said.ref, error.code, error.message))
            return
        doing = said.doing if principal.can(Act.SEND) else "viewing"
        name = principal.name or principal.sub
        self._presence.say(Word(connection.name, said.inbox, said.chat, principal.sub, name, doing))

    async def _renew(self, connection: Connection, ref: str | None, token: str) -> None:
        try:
            principal = await self._login.check(token)
        except Unauthenticated as error:
            connection.reply(protocol.error(ref, "unauthenticated", error.message))
            return
        connection.renew(principal)
        connection.reply(protocol.auth_renewed(ref))

    async def _subscribe(self, connection: Connection, wish: protocol.Subscribe) -> None:
        principal = connection.principal
        if connection.topics >= self._max_topics:
            message = f"At most {self._max_topics} topics."
            connection.reply(protocol.error(wish.ref, "too_many_topics", message))
            return
        try:
            match wish.topic:
                case None:
                    message = f"There is no topic {wish.name!r}."
                    connection.reply(protocol.error(wish.ref, "unknown_topic", message))
                case SessionsTopic():
                    principal.require(Act.READ)
                    self._watch(connection, wish, None)
                case SessionTopic(session_id):
                    principal.require(Act.READ, session_id)
                    await self._states.see(session_id)
                    self._watch(connection, wish, session_id)
                case InboxTopic(inbox) if inbox is not None:
                    principal.require(Act.READ, inbox)
                    await self._follow(connection, wish, inbox)
                case InboxTopic():
                    principal.require(Act.READ)
                    await self._follow_all(connection, wish)
        except StoreUnavailable:
            message = "The database is away. Subscribe again in a moment."
            connection.reply(protocol.error(wish.ref, "unavailable", message))
        except GatewayError as error:
            connection.reply(protocol.error(wish.ref, error.code, error.message))

    def _watch(self, connection: Connection, wish: protocol.Subscribe, session_id: int | None) -> None:
        states, values = self._states, self._values
        current = (
            values.of_all(states.rows()) if session_id is None else values.of_session(states.row(session_id))
        )
        shown = [
            value
            for value in current
            if connection.covers(value.session_id) and (value.part != "link" or connection.sees_link())
        ]
        connection.watch(
            wish.ref, wish.name, session_id, [protocol.state_frame(wish.name, value) for value in shown]
        )

    async def _follow(self, connection: Connection, wish: protocol.Subscribe, inbox: Inbox) -> None:
        if inbox and self._hub.position(inbox) is None and self._states.session(inbox) is None:
            # The shop may write rows of a session that we do not know; no client needs thousands of those.
            if len(self._strange_inboxes) >= MAX_STRANGE_INBOXES:
                message = f"There is no session {inbox}."
                connection.reply(protocol.error(wish.ref, "unknown_topic", message))
                return
            await self._feed.position_at_least(inbox, wish.after)
            self._strange_inboxes.add(inbox)
        start = await self._feed.position_at_least(inbox, wish.after)
        if wish.after is not None:
            if is_within(wish.after, start):
                start = wish.after
            else:
                extents = await self._extents([inbox], {inbox: wish.after})
                start = await self._start(connection, inbox, wish.after, extents.get(inbox))
        connection.follow(
            wish.ref,
            wish.name,
            {inbox: start},
            on_answered=lambda: self._show_presence(connection, lambda other: other == inbox),
        )

    async def _follow_all(self, connection: Connection, wish: protocol.Subscribe) -> None:
        starts = {} if wish.after_all is not None else self._covered(connection)
        after = {Inbox(key): value for key, value in (wish.after_all or {}).items() if connection.covers(key)}
        if wish.others is not None and await self._follow_moved(connection, wish, after, wish.others):
            return
        await self._feed.see(after)
        # Inboxes may come into being while we look; this connection is told of new ones only once it follows.
        for inbox, known in self._covered(connection).items():
            if inbox in after and is_within(after[inbox], known):
                starts[inbox] = after[inbox]
            elif wish.others is not None and inbox not in after:
                connection.reset(inbox, "epoch_changed", known)
                starts[inbox] = known
        while new := [inbox for inbox in self._covered(connection) if inbox not in starts]:
            extents = await self._extents(new, after)
            for inbox in new:
                starts[inbox] = await self._start(connection, inbox, after.get(inbox), extents.get(inbox))
        named = None if wish.others is None else list(after)
        connection.follow(wish.ref, wish.name, starts, named, self._shows_presence(connection))

    def _shows_presence(self, connection: Connection) -> Callable[[], None]:
        """Tells the connection who is present in what it covers."""
        return lambda: self._show_presence(connection, connection.covers)

    async def _follow_moved(
        self,
        connection: Connection,
        wish: protocol.Subscribe,
        after: Mapping[Inbox, Position],
        snapshot: Snapshot,
    ) -> bool:
        """Follows the inboxes that the client named or that have moved since its snapshot, and the rest from now on.

        False where the history of the snapshot is gone. What moves while this looks begins before it moved: the
        database may have been read earlier.
        """
        with self._hub.noting() as meanwhile:
            moved = await self._streams.moved_since(snapshot)
            if moved is None:
                return False
            places = {Inbox(number): place for number, place in moved.items() if number not in after}
            places = {inbox: place for inbox, place in places.items() if connection.covers(inbox)}
            # The hub may have read less than the snapshot saw, so it looks first.
            await self._feed.see({**after, **places})
            starts = await self._starts(connection, after)
            for inbox, place in places.items():
                known = self._hub.position(inbox)
                if known is None:
                    continue
                if not is_within(place, known):
                    RESETS.labels("epoch_changed").inc()
                    connection.reset(inbox, "epoch_changed", known)
                    place = known
                starts[inbox] = place
            for inbox, before in meanwhile.items():
                if connection.covers(inbox):
                    starts.setdefault(inbox, before)
        named = list(starts)
        for inbox in connection.inboxes:
            if connection.covers(inbox) and (position := self._hub.position(inbox)) is not None:
                starts.setdefault(inbox, position)
        shows = self._shows_presence(connection)
        connection.follow(wish.ref, wish.name, starts, named, shows, has_rest=True)
        return True

    async def _starts(self, connection: Connection, after: Mapping[Inbox, Position]) -> dict[Inbox, Position]:
        """Where to begin with the inboxes that the client named."""
        starts: dict[Inbox, Position] = {}
        for inbox, wished in after.items():
            known = self._hub.position(inbox)
            if known is None:
                continue  # a client may name what does not exist
            if is_within(wished, known):
                starts[inbox] = wished
                continue
            extents = await self._extents([inbox], after)
            starts[inbox] = await self._start(connection, inbox, wished, extents.get(inbox))
        return starts

    async def _extents(self, inboxes: list[Inbox], after: Mapping[Inbox, Position]) -> Mapping[int, Extent]:
        """The extents of inboxes that clients come back to, of the history that is published."""
        extents = await self._streams.extents(inboxes)
        if any(is_beyond(after.get(inbox), extents.get(inbox)) for inbox in inboxes):
            # The client made it up, or an older database was brought back and the feed has not seen it yet: a reset
            # now would be followed by another one, into the epoch that is about to begin.
            await self._feed.catch_up()
            extents = await self._streams.extents(inboxes)
        return extents

    def _covered(self, connection: Connection) -> dict[Inbox, Position]:
        positions = self._hub.positions().items()
        return {Inbox(number): position for number, position in positions if connection.covers(number)}

    async def _start(
        self, connection: Connection, inbox: Inbox, after: Position | None, extent: Extent | None
    ) -> Position:
        """Where to begin; without `after` at the beginning. Tells the client `reset` if its own is of no use."""
        if extent is None:
            extent = await self._streams.ensure(inbox)
        wished = after or Position(extent.floor, extent.epoch)
        # The hub must know this history, too, or it would begin with a reset to an older one.
        known = await self._feed.position_at_least(inbox, Position(extent.top, extent.epoch))
        reason = check_position(wished, extent)
        if reason is None:
            return wished
        RESETS.labels(reason).inc()
        connection.reset(inbox, reason, known)
        return known

    def _show_presence(self, connection: Connection, follows: Callable[[int], bool]) -> None:
        """Who is in conversations of inboxes that the connection follows from now on."""
        for (inbox, chat), people in self._presence.people_in(follows).items():
            connection.send_state(("presence", inbox, chat), protocol.presence(inbox, chat, people), None)

    # ------------------------------------------------------------------------------------------ all sockets

    def tell_presence(self, inbox: int, chat: str, people: Sequence[Person]) -> None:
        """Tells those who follow the inbox who is in a conversation of it now."""
        self._hub.tell_followers(inbox, "presence", chat, protocol.presence(inbox, chat, people))

    def tell_stale(self, since: str) -> None:
        """Tells all clients that they may miss something since then (ISO 8601)."""
        self._hub.broadcast("staleness", protocol.stale(since))

    def tell_fresh(self) -> None:
        """Tells all clients that they have everything again."""
        self._hub.broadcast("staleness", protocol.fresh())
