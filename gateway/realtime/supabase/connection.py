"""One socket of Supabase's clients: its channels, and what each is told.

A channel is joined when all its inboxes are LIVE; the reply is sent then and not before, so that a page which
reloads at SUBSCRIBED misses nothing. Faults that pass end a channel with `phx_error`: its client joins again by
itself. A `phx_close` would be for good, and is only said to clients that leave, or that join a joined topic once more.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from gateway.domain.access import Principal
from gateway.domain.errors import Unauthenticated
from gateway.domain.streams import Inbox, Position, ResetReason, Standing
from gateway.realtime import close_codes
from gateway.realtime.hub.cursors import Cursor
from gateway.realtime.hub.follower import Follower
from gateway.realtime.hub.hub import Hub
from gateway.realtime.pace import SocketPace
from gateway.realtime.supabase.changes import Encoders
from gateway.realtime.supabase.channel import Channel, Join
from gateway.realtime.supabase.frames import Message, Writer
from gateway.realtime.transport.framing import Burst
from gateway.realtime.transport.socket_transport import WRITE_LIMIT_BYTES, SocketTransport
from gateway.services.auth.supabase_keys import KeyRefused, expiry
from gateway.services.live.feed import StalenessView
from gateway.services.live.tail_source import StreamReader

logger = logging.getLogger(__name__)

JOIN_WITHIN_S = 8.0
"""Clients wait ten seconds for the reply to a join."""

CHANGES = "postgres_changes"
SYSTEM = "system"
SUBSCRIBED = "Subscribed to PostgreSQL"
STALE = "Postgres cannot be heard at the moment. Changes come late, none is lost."
NOT_NOW = "DatabaseUnavailable: Postgres cannot be heard at the moment; join again in a while"
NOTHING_TO_READ = "This token may read no session, so nothing will come. Log in, or use a gateway token."
READS_MORE = "ReadsMore: this token may read more than the one before; load again when subscribed"
TOKEN_NEEDED = "TokenNeeded: the key may read no session, and the join brought no token; join again with one"
TABLE_CAME = "TableCame: what this channel listens to can be served now; load again when subscribed"
JOINED_AGAIN = "JoinedAgain: the topic was joined once more before this join was answered"
LEFT = "Left: the topic was left before this join was answered"
NO_PRESENCE = "Presence is not served here; keep your Supabase client for it."
NO_BROADCAST = "Broadcast is not served here; keep your Supabase client for it."


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionContext:
    """What every connection of this dialect is given."""

    hub: Hub
    streams: StreamReader
    encoders: Encoders
    staleness: StalenessView
    pace: SocketPace
    on_unserved: Callable[[], None]
    """Called every second while some channel waits for a table or column."""


class SupabaseConnection(Follower):
    """A client of Supabase's dialect: its channels, each with a login of its own."""

    dialect = "supabase"

    def __init__(
        self,
        name: str,
        key: str,
        principal: Principal,
        writer: Writer,
        transport: SocketTransport,
        context: ConnectionContext,
    ) -> None:
        """`principal` is the key's; a channel may have one of its own."""
        super().__init__(name, transport, context.hub, context.streams, context.pace)
        self.key = key
        self.principal = principal
        self.writer = writer
        self.channels: dict[str, Channel] = {}
        self._encoders = context.encoders
        self._staleness = context.staleness
        self._on_unserved = context.on_unserved
        self._has_complained = False
        self._called_for_token: set[str] = set()
        """Topics whose client has been asked once for the token that its first join did not bring."""

    # ------------------------------------------------------------------------------------------ the client's

    def join(self, join: Join) -> None:
        """Follows what the channel asks for; it is answered once all of that is LIVE."""
        topic = join.message.topic
        old = self._drop(topic)
        if old is not None and not old.is_joined:
            self.reply(self.writer.refuse(old.join, JOINED_AGAIN))
        # Python's client takes any phx_close for the end. One that joins again because of a fault we told it of
        # must not get one; for it the fault was the end of the old channel.
        if old is not None and old.is_joined and not old.is_faulted:
            self.reply(self.writer.closed(old.join_ref, old.topic))
        self.channels[topic] = channel = Channel(join, self.writer.version, self._encoders)
        self._point(channel)
        self._watch()
        self.catch_up()

    def leave(self, message: Message) -> None:
        """Ends the channel that the message names, and answers."""
        current = self.channels.get(message.topic)
        is_meant = current is not None and message.join_ref in (None, current.join_ref)
        old = self._drop(message.topic) if is_meant else None
        self._watch()
        if old is not None and not old.is_joined:
            self.reply(self.writer.refuse(old.join, LEFT))
        self.reply(self.writer.reply(message, {}))
        if old is not None and old.is_joined:
            self.reply(self.writer.closed(old.join_ref, old.topic))

    def renew(self, channel: Channel, principal: Principal, token: str | None) -> None:
        """A new token for the same channel. What it no longer covers ends; what it covers besides begins now."""
        could_read = channel.reads_something
        reads_more = principal.reads_beyond(channel.principal)
        channel.principal, channel.token = principal, token
        self._point(channel)
        self._watch()
        self.catch_up()
        if channel.is_joined and channel.is_listening and reads_more:
            if not could_read:
                self._say(channel, SUBSCRIBED, ok=True)
            self.call_back(channel, READS_MORE)

    def refuse(self, channel: Channel, message: Message, what: str, why: str) -> None:
        """Answers something that is not served here; says it once where the client waits for no answer."""
        if message.ref is not None:
            self.reply(self.writer.refuse(message, why))
        # A `system` error is a channel error to Python's client, which speaks 1.0.0.
        if self.writer.version == 2 and what not in channel.has_refused:
            channel.has_refused.add(what)
            self._say(channel, why, ok=False, extension=what)

    def complain(self, why: str) -> None:
        """A frame that cannot be read is dropped; the first of a connection is logged."""
        if not self._has_complained:
            self._has_complained = True
            logger.warning("supabase.malformed_frame connection=%s why=%r", self.name, why)

    def end_with_fault(self, channel: Channel, why: str) -> None:
        """The channel's client joins again by itself, after a second at first."""
        self._drop(channel.topic)
        self._watch()
        if channel.is_joined:
            self.reply(self.writer.errored(channel.join_ref, channel.topic, why))
        else:
            self.reply(self.writer.refuse(channel.join, why))

    def call_back(self, channel: Channel, why: str) -> None:
        """Lets the channel's client join again, and with it say SUBSCRIBED; until then the channel goes on."""
        channel.is_faulted = channel.is_called_back = True
        self.reply(self.writer.errored(channel.join_ref, channel.topic, why))

    @property
    def unserved(self) -> list[Channel]:
        """Joined channels with a wish that was refused: what it names may come into being."""
        return [
            channel
            for channel in self.channels.values()
            if channel.is_joined
            and not channel.is_called_back
            and any(wish.refusal for wish in channel.wishes)
        ]

    def _drop(self, topic: str) -> Channel | None:
        channel = self.channels.pop(topic, None)
        if channel is not None:
            for cursor in channel.cursors.values():
                self._hub.unfollow(cursor, topic)
        return channel

    # ------------------------------------------------------------------------------------------ cursors

    def _point(self, channel: Channel) -> None:
        """Gives the channel the cursors that its bindings and its principal ask for."""
        for inbox, cursor in tuple(channel.cursors.items()):
            if channel.encoder(inbox) is cursor.encode:
                continue
            del channel.cursors[inbox]
            self._hub.unfollow(cursor, channel.topic)
            self._follow(channel, Inbox(inbox), Position(cursor.off, cursor.epoch))
        for inbox, position in self._hub.positions().items():
            if inbox not in channel.cursors:
                self._follow(channel, Inbox(inbox), position)

    def _follow(self, channel: Channel, inbox: Inbox, start: Position) -> None:
        encoder = channel.encoder(inbox)
        if encoder is not None:
            channel.cursors[inbox] = self._hub.follow(self, inbox, start, channel.topic, None, encoder)

    def _watch(self) -> None:
        if self.channels:
            self._hub.watch_all(self)
        else:
            self._hub.unwatch_all(self)

    # ------------------------------------------------------------------------------------------ the hub's

    def covers(self, inbox: int) -> bool:
        """Whether any channel may read the inbox."""
        return any(channel.encoder(inbox) is not None for channel in self.channels.values())

    def appear(self, inbox: Inbox, start: Position) -> None:
        """Follows an inbox that came into being, for every channel that wants it."""
        for channel in self.channels.values():
            self._follow(channel, inbox, start)

    def all_cursors(self) -> Iterable[Cursor]:
        """Of all its channels."""
        return [cursor for channel in self.channels.values() for cursor in channel.cursors.values()]

    def _beside(self, cursor: Cursor, inbox: int) -> Cursor | None:
        channel = self._channel_of(cursor)
        return None if channel is None else channel.cursors.get(inbox)

    def _has(self, cursor: Cursor) -> bool:
        channel = self._channel_of(cursor)
        return channel is not None and channel.cursors.get(cursor.inbox) is cursor

    def _channel_of(self, cursor: Cursor) -> Channel | None:
        return next((self.channels[topic] for topic in cursor.topics if topic in self.channels), None)

    def _on_reset(self, cursor: Cursor, reason: ResetReason, position: Position) -> None:
        channel = self._channel_of(cursor)
        # Before the reply nothing was promised: then it simply goes on from here.
        if channel is not None and channel.is_joined:
            self.end_with_fault(
                channel, f"{reason}: changes were too many to tell, load again when subscribed"
            )

    def _announce(self) -> None:
        """Answers the joins of which every inbox is LIVE now."""
        for channel in tuple(self.channels.values()):
            if channel.is_joined or any(
                item.standing is not Standing.LIVE for item in channel.cursors.values()
            ):
                continue
            if self._staleness.stale_since is not None and channel.cursors:
                self.end_with_fault(channel, NOT_NOW)
                continue
            channel.is_joined = True
            self._answer_join(channel)

    def _answer_join(self, channel: Channel) -> None:
        replies = [wish.reply for wish in channel.wishes]
        self.reply(self.writer.reply(channel.join, {CHANGES: replies}))
        if channel.is_listening and channel.reads_something:
            self._say(channel, SUBSCRIBED, ok=True)
        elif channel.is_listening:
            self._say(channel, NOTHING_TO_READ, ok=False)
        for wish in channel.wishes:
            if wish.refusal is not None:
                self._say(channel, wish.refusal, ok=False)
        if channel.wants_presence and self.writer.version == 2:
            self._say(channel, NO_PRESENCE, ok=False, extension="presence")

    # ------------------------------------------------------------------------------------------ of every dialect

    def heartbeat(self) -> None:
        """Pings the client, unless much is waiting to be written."""
        if self.transport.buffered() <= WRITE_LIMIT_BYTES:
            self.transport.ping()

    def look_at_clock(self, now: float) -> None:
        """Ends the channels whose login has expired; `now` is unix seconds."""
        for channel in tuple(self.channels.values()):
            over = expiry(channel.principal.expires_at, now)
            if over is not None:
                self.end_for_token(channel, over)
            elif not channel.is_joined:
                channel.waiting_since = channel.waiting_since or now
                if now - channel.waiting_since >= JOIN_WITHIN_S:
                    self.end_with_fault(channel, NOT_NOW)
            elif channel.awaits_token and channel.topic not in self._called_for_token:
                # The newest clients forget the page's token in their first join and send it with the second.
                self._called_for_token.add(channel.topic)
                self.call_back(channel, TOKEN_NEEDED)
        if self.unserved:
            self._on_unserved()

    def look_at_login(self, current: Callable[[Principal], Principal]) -> None:
        """Ends the channels whose token has been ended, and points the others anew; without channels, the socket."""
        if not self.channels:
            try:
                current(self.principal)
            except Unauthenticated:
                self.close(close_codes.UNAUTHORISED, "this login has been ended")
            return
        for channel in tuple(self.channels.values()):
            try:
                now = current(channel.principal)
            except Unauthenticated as error:
                self.end_for_token(channel, KeyRefused("InvalidJWTToken", error.message))
                continue
            if now != channel.principal:
                self.renew(channel, now, channel.token)

    def end_for_token(self, channel: Channel, over: KeyRefused) -> None:
        """Its token is no good any more: the client comes back with the one it has by then."""
        if channel.is_joined:
            self._say(channel, over.message, ok=False, extension=SYSTEM)
        self.end_with_fault(channel, over.reason)

    def warn(self, reconnect_after_ms: int) -> None:
        """Nothing: these clients know when to come back."""

    def tell_stale(self) -> None:
        """Tells every joined channel that follows something that it may miss changes."""
        for channel in self.channels.values():
            if channel.is_joined and channel.cursors and not channel.is_stale:
                channel.is_stale = channel.is_faulted = True
                self._say(channel, STALE, ok=False)

    def tell_fresh(self) -> None:
        """Tells every channel that was stale that it has everything again."""
        for channel in self.channels.values():
            if channel.is_stale:
                channel.is_stale = False
                self._say(channel, SUBSCRIBED, ok=True)

    def end(self) -> None:
        """The socket is gone: leaves the hub, too. Idempotent."""
        super().end()
        self._hub.forget(self, self.all_cursors())
        self.channels.clear()

    def _say(self, channel: Channel, text: str, *, ok: bool, extension: str = CHANGES) -> None:
        if not ok and self.writer.version == 1:
            channel.is_faulted = True  # to Python's client it is one, and it joins again
        frame = self.writer.system(channel.join_ref, channel.topic, extension, text, ok=ok)
        self.transport.write(Burst([frame]))
