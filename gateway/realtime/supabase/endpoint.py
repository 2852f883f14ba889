"""`GET /realtime/v1/websocket`: who comes in, and what each of their frames is answered with."""

import asyncio
import secrets
from collections.abc import Mapping

from starlette.responses import JSONResponse
from starlette.types import Message as AsgiMessage
from starlette.websockets import WebSocket

from gateway.domain.access import Principal
from gateway.domain.errors import StoreUnavailable
from gateway.domain.limits import Limits
from gateway.realtime import close_codes
from gateway.realtime.connections import Seat, transport_of
from gateway.realtime.context import EndpointContext
from gateway.realtime.hub.fanout_scheduler import FanoutScheduler, each
from gateway.realtime.supabase.bindings import Wish, read_wish
from gateway.realtime.supabase.changes import Encoders
from gateway.realtime.supabase.channel import Channel, Join
from gateway.realtime.supabase.connection import (
    NO_BROADCAST,
    NO_PRESENCE,
    NOT_NOW,
    TABLE_CAME,
    ConnectionContext,
    SupabaseConnection,
)
from gateway.realtime.supabase.frames import (
    PHOENIX,
    Malformed,
    Message,
    Writer,
    parse_bytes,
    parse_text,
    version_of,
)
from gateway.realtime.supabase.joins import (
    JoinRefused,
    Load,
    asked_changes,
    check_join,
    says_something,
    wants_presence,
)
from gateway.realtime.supabase.tables import Table, Tables
from gateway.realtime.transport.framing import MAX_FRAME_BYTES
from gateway.realtime.transport.socket_transport import SocketTransport
from gateway.services.auth.supabase_keys import KeyRefused, SupabaseKeys
from gateway.services.background import Background

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""Of a refused handshake, which is the only answer of a socket that a browser could show."""


class ConnectionRefused(Exception):
    """The handshake is answered with this status and sentence."""

    def __init__(self, status: int, message: str, kind: str = "") -> None:
        """`kind` is what it is counted as; empty if it is no refusal, or counted already."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind


class SupabaseRealtime:
    """Everything a socket of this dialect needs."""

    def __init__(
        self, context: EndpointContext, *, keys: SupabaseKeys, tables: Tables, limits: Limits
    ) -> None:
        self._feed = context.feed
        self._connections = context.connections
        self._origins = context.origins
        self._keys = keys
        self._tables = tables
        self._limits = limits
        self._tables_s = context.pace.tables_s
        self._connection_context = ConnectionContext(
            hub=context.hub,
            streams=context.streams,
            encoders=Encoders(),
            staleness=context.staleness,
            pace=context.pace,
            on_unserved=self._look_for_tables,
        )
        self.greeted: set[SupabaseConnection] = set()
        """Open sockets that have been greeted: they are told what all are told."""
        self._scheduler = FanoutScheduler()
        self._background = Background()
        self._looking: asyncio.Task[None] | None = None
        self._looked_at = 0.0

    # ------------------------------------------------------------------------------------------ one socket

    async def serve(self, socket: WebSocket) -> None:
        """Serves one socket from its handshake to its close."""
        try:
            key, principal, version, seat = await self._admit(socket)
        except ConnectionRefused as refusal:
            if refusal.kind:
                self._connections.rates.refusals.socket(refusal.kind, _address_of(socket), refusal.message)
            return await _deny(socket, refusal)
        try:
            await self._converse(socket, key, principal, version)
        finally:
            seat.leave()
        return None

    async def _converse(self, socket: WebSocket, key: str, principal: Principal, version: int) -> None:
        await socket.accept()  # no subprotocol: none is asked for
        async with transport_of(socket) as transport:
            connection = self._connection(key, principal, version, transport)
            try:
                await self._connections.serve(
                    socket,
                    connection,
                    greet=lambda: self._greet(connection),
                    hear=lambda message: self._hear(connection, message),
                )
            finally:
                self.greeted.discard(connection)

    async def _admit(self, socket: WebSocket) -> tuple[str, Principal, int, Seat]:
        """The key, its principal, the protocol's version, and a seat. Raises ConnectionRefused."""
        if not self._origins.allows(socket.headers.get("origin"), socket.headers.get("host")):
            raise ConnectionRefused(
                403, "This page may not connect; see GATEWAY_ALLOWED_ORIGINS", "socket_origin"
            )
        version = version_of(socket.query_params.get("vsn"))
        if version is None:
            raise ConnectionRefused(403, "This version is not served: 1.0.0 or 2.0.0", "socket_frame")
        # A browser cannot set headers on a socket: this is the one place where a token may be in an address.
        key = socket.headers.get("x-api-key") or socket.query_params.get("apikey")
        if not key:
            raise ConnectionRefused(401, "API key is missing", "socket_login")
        try:
            principal = await self._keys.check(key)
        except KeyRefused as refused:
            raise ConnectionRefused(401, refused.message, "socket_login") from None
        if self._connections.is_draining:
            raise ConnectionRefused(503, "Realtime is restarting, please standby")
        if self._connections.is_full:
            raise ConnectionRefused(429, "Too many connected users", "sockets_of_all")
        seat = self._connections.take_seat(socket, principal.sub)
        if seat is None:
            raise ConnectionRefused(429, "Too many connected users")
        return key, principal, version, seat

    def _connection(
        self, key: str, principal: Principal, version: int, transport: SocketTransport
    ) -> SupabaseConnection:
        transport.heard()
        return SupabaseConnection(
            secrets.token_hex(6),
            key,
            principal,
            Writer(version),
            transport,
            self._connection_context,
        )

    def _greet(self, connection: SupabaseConnection) -> None:
        self.greeted.add(connection)

    # ------------------------------------------------------------------------------------------ frames

    async def _hear(self, connection: SupabaseConnection, raw: AsgiMessage) -> None:
        data: str | bytes = raw.get("text") or raw.get("bytes") or ""
        if len(data) > MAX_FRAME_BYTES or (isinstance(data, str) and len(data.encode()) > MAX_FRAME_BYTES):
            return connection.close(close_codes.TOO_LARGE, "frames of at most 256 KiB only")
        try:
            message = parse_bytes(data) if isinstance(data, bytes) else parse_text(data)
        except Malformed as error:
            return connection.complain(str(error))
        if message.event == "heartbeat" and (
            message.topic == PHOENIX or message.topic in connection.channels
        ):
            return connection.reply(connection.writer.reply(message, {}))
        match message.event:
            case "phx_join":
                await self._join(connection, message)
            case "phx_leave":
                connection.leave(message)
            case _:
                await self._hear_in_channel(connection, message)
        return None

    async def _join(self, connection: SupabaseConnection, message: Message) -> None:
        try:
            check_join(message, connection.channels)
            token = message.payload.get("access_token")
            # A key that was good when the socket opened may be over by now.
            own = token if says_something(token) and token != connection.key else None
            principal = await self._keys.check(own or connection.key)
            tables = await self._tables.look()
            await self._feed.see({})  # what has happened before is no news
        except KeyRefused as refused:
            return connection.reply(connection.writer.refuse(message, refused.reason))
        except JoinRefused as refused:
            return connection.reply(connection.writer.refuse(message, str(refused)))
        except StoreUnavailable:
            return connection.reply(connection.writer.refuse(message, NOT_NOW))
        try:
            principal = self._keys.current(principal)  # it may have been ended while the tables were read
            wishes = self._read_wishes(connection, message, tables)
        except KeyRefused as refused:
            return connection.reply(connection.writer.refuse(message, refused.reason))
        except JoinRefused as refused:
            return connection.reply(connection.writer.refuse(message, str(refused)))
        connection.join(
            Join(
                message=message,
                wishes=wishes,
                principal=principal,
                token=own,
                wants_presence=wants_presence(message),
            )
        )
        return None

    def _read_wishes(
        self, connection: SupabaseConnection, message: Message, tables: Mapping[str, Table]
    ) -> tuple[Wish, ...]:
        """Raises JoinRefused when they are too much for one socket."""
        asked = asked_changes(message)
        others = [channel for topic, channel in connection.channels.items() if topic != message.topic]
        load = Load(self._limits, others)
        load.add(bindings=len(asked))

        def count(conditions: int, patterns: int) -> None:
            load.add(conditions=conditions, patterns=patterns)

        return tuple(read_wish(item, tables, count) for item in asked)

    async def _hear_in_channel(self, connection: SupabaseConnection, message: Message) -> None:
        channel = connection.channels.get(message.topic)
        if channel is None:
            return connection.reply(connection.writer.refuse(message, "unmatched topic"))
        if message.join_ref is not None and message.join_ref != channel.join_ref:
            return None  # meant for a join before this one
        match message.event:
            case "access_token":
                await self._renew(connection, channel, message.payload.get("access_token"))
            case "broadcast":
                connection.refuse(channel, message, "broadcast", NO_BROADCAST)
            case "presence":
                connection.refuse(channel, message, "presence", NO_PRESENCE)
        return None

    async def _renew(self, connection: SupabaseConnection, channel: Channel, token: object) -> None:
        if not says_something(token) or token == (channel.token or connection.key):
            return None
        try:
            principal = await self._keys.check(token)
        except KeyRefused as refused:
            return connection.end_for_token(channel, refused)
        try:
            await self._feed.see({})
        except StoreUnavailable:
            pass  # then it is told a little more than the news
        if connection.channels.get(channel.topic) is not channel:
            return None
        try:
            principal = self._keys.current(principal)  # it may have been ended meanwhile
        except KeyRefused as refused:
            return connection.end_for_token(channel, refused)
        connection.renew(channel, principal, token)
        return None

    # ------------------------------------------------------------------------------------------ all sockets

    def _look_for_tables(self) -> None:
        """Some channel waits for a table or column: asks Postgres for all of them, and not more often than it must."""
        now = asyncio.get_running_loop().time()
        if now - self._looked_at >= self._tables_s and (self._looking is None or self._looking.done()):
            self._looked_at = now
            self._looking = self._background.start(self._call_back_the_served(), "supabase-tables")

    async def _call_back_the_served(self) -> None:
        try:
            tables = await self._tables.look(self._tables_s)
        except StoreUnavailable:
            return
        for connection in tuple(self.greeted):
            for channel in connection.unserved:
                refused = [wish for wish in channel.wishes if wish.refusal is not None]
                if any(read_wish(wish.reply, tables).refusal is None for wish in refused):
                    connection.call_back(channel, TABLE_CAME)

    async def close(self) -> None:
        """Ends what goes on for all sockets together."""
        await self._background.close()

    def tell_stale(self, since: str) -> None:
        """Tells all clients that they may miss changes; this dialect has no word for since when."""
        self._scheduler.start(each(tuple(self.greeted), SupabaseConnection.tell_stale))

    def tell_fresh(self) -> None:
        """Tells all clients that they have everything again."""
        self._scheduler.start(each(tuple(self.greeted), SupabaseConnection.tell_fresh))


def _address_of(socket: WebSocket) -> str:
    return socket.client.host if socket.client else ""


async def _deny(socket: WebSocket, refusal: ConnectionRefused) -> None:
    if "websocket.http.response" in socket.scope.get("extensions", {}):
        await socket.send_denial_response(JSONResponse({"error": refusal.message}, refusal.status, _HEADERS))
    else:
        await socket.close()
