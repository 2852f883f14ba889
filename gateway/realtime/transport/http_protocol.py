"""uvicorn's HTTP protocol with limits: what a client sends is looked at before it is taken apart.

`Config(http=GatewayHttpProtocol)` with a `ServerConfig`, whose `guard` all connections share. Bytes go to the parser
in pieces that end where a request's head may end, so that one packet full of small requests becomes a few requests,
and the rest waits unread.
"""

import asyncio
import logging
from enum import IntEnum
from typing import Any

import httptools
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from gateway.domain.limits import KIB, MIB
from gateway.realtime.transport.flow import HeldFlow
from gateway.realtime.transport.guard import Guard, Room, Stage, Visitor
from gateway.realtime.transport.patience import LINGER_S, REFUSED_S, Patience
from gateway.realtime.transport.refusal import Refusal, refusal_bytes
from gateway.realtime.transport.request_head import LOGINS, PROBES, WEBHOOKS, handshake_fault, read_head
from gateway.realtime.transport.request_meter import END, RequestMeter
from gateway.realtime.transport.uvicorn_protocol import GatewayWebSocketProtocol
from gateway.services.addresses import VISITOR

logger = logging.getLogger(__name__)
logger.setLevel(logging.ERROR)


NO_HTTP = "Invalid HTTP request received."

LINGER_BYTES = 32 * MIB
"""So much of a body is read and thrown away once its request is answered, in `patience.LINGER_S`.

Most clients read no answer before they have sent everything, and a connection that is closed before takes it from them.
"""

REFUSED_BYTES = MIB
"""The same of a client that is refused for what it sent: that is no body, and may have no end."""

MOST_AT_ONCE = 16 * KIB
"""Of a body in chunks, each of which may be a byte: then it is the others' turn."""


class ServerConfig(uvicorn.Config):
    """uvicorn's configuration, and what our protocol classes share."""

    guard: Guard


class _Reading(IntEnum):
    HEAD = 0
    SIZED = 1
    CHUNKED = 2


class LastingTransport:
    """A transport for one answer: it stays open for the rest of the request, which uvicorn would not wait for."""

    __slots__ = ("_protocol", "is_closing", "write")

    def __init__(self, protocol: "GatewayHttpProtocol") -> None:
        self._protocol = protocol
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing

    def close(self) -> None:
        """Closes the connection, or has it closed once the body has come."""
        self._protocol.close_after_body()


class GatewayHttpProtocol(HttpToolsProtocol):
    """One HTTP connection of uvicorn's, held to the limits."""

    config: ServerConfig
    flow: HeldFlow
    _patience: Patience

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.logger = logger
        self.guard = self.config.guard
        self._meter = RequestMeter(self.guard.limits)
        self.visitor: Visitor | None = None
        self._pending = b""
        """Read, and not taken apart yet."""
        self._reading = _Reading.HEAD
        self._is_begun = False
        """The head of a request has begun."""
        self._body_left = 0
        self._unread_left = 0
        """Of what a client still sends though it has its answer: so much is passed over."""
        self._closes_after_body = False
        """The answer said that it is the last, and the body it answers is still coming."""
        self._refusal: Refusal | None = None
        self._is_over = False

    # ------------------------------------------------------------------------------------------ the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected; the guard lets it in or not."""
        super().connection_made(transport)
        self.flow = HeldFlow(transport, self._may_read)
        self.visitor = self.guard.enter(self, self.client[0] if self.client else "")
        if self.visitor is None:
            self._is_over = True
            transport.abort()
        else:
            self._patience = Patience(self.visitor, self.guard.limits, self.loop)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        super().connection_lost(exc)
        self._is_over = True
        self._pending = b""
        if self.visitor is not None:
            self.guard.leave(self.visitor)

    def drop(self) -> None:
        """Closes the connection at once."""
        self._is_over = True
        self.transport.abort()

    def buffered(self) -> int:
        """Bytes written and not yet taken by the kernel."""
        return self.transport.get_write_buffer_size()

    def pause_writing(self) -> None:
        """The client does not read what it is sent."""
        super().pause_writing()
        visitor = self.visitor
        if visitor is not None:
            self._patience.for_reader(self.buffered())
            self.guard.stalled(visitor)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        visitor = self.visitor
        if visitor is not None:
            self.guard.flows(visitor)
            if self._patience.is_for_reader:
                visitor.wait_no_more()
                if not visitor.is_busy:
                    self._rest(visitor)
        self._go_on()

    def has_progressed(self) -> bool:
        """Whether a client whose time is over gets as much again."""
        return self._patience.has_progressed(self.buffered(), is_read_paused=self.flow.read_paused)

    # ------------------------------------------------------------------------------------------ what is sent

    def data_received(self, data: bytes) -> None:
        """Takes what may be taken now; the rest waits."""
        if self._is_over:
            self._pass_over(len(data))
        elif self._refusal is not None:
            pass  # the answers before the refusal are still to be written
        elif self._pending:
            self._pending += data
        else:
            self._take(data)

    def _go_on(self) -> None:
        """Takes what waits, as far as it may be taken now, and reads on."""
        if self._is_over or self.parser is None or self._refusal is not None:
            return
        pending, self._pending = self._pending, b""
        if pending:
            self._take(pending)
        if not self._pending and not self._is_over:
            self.flow.let_go()

    def _take(self, data: bytes) -> None:
        at, size = 0, len(data)
        try:
            turn = MOST_AT_ONCE
            while at < size:
                if self._reading is _Reading.HEAD and not self._is_begun:
                    at = self._next_head(data, at)
                    if not self._is_begun:
                        return
                end = self._end_of_piece(data, at)
                is_chunked = self._reading is _Reading.CHUNKED
                self.parser.feed_data(data if end - at == size else data[at:end])
                if self._reading is not _Reading.HEAD and self.cycle.response_complete:
                    self._pass_over(end - at)
                if self._is_over:
                    return
                if is_chunked:
                    self._patience.received(self._meter.count_chunks(end - at))
                    turn -= end - at
                at = end
                if turn <= 0 and at < size:
                    self._pending = data[at:]
                    self._take_turns()
                    return
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                # As if it had not asked: what follows is plain HTTP again.
                self._take(data[at + upgrade.args[0] :])
        except Refusal as refusal:
            self._refuse(refusal)
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, Refusal) else Refusal(400, NO_HTTP))

    def _take_turns(self) -> None:
        """The rest of a body in chunks waits for the others, and for the app, if it has not taken what there is."""
        self.flow.pause_reading()
        if not self.cycle.body or self.cycle.response_complete:
            self.loop.call_soon(self._go_on)

    def _next_head(self, data: bytes, at: int) -> int:
        """Where the next request begins; it has begun, if it may be read before those ahead of it are answered."""
        at = self._meter.skip_blank(data, at)
        if at == len(data):
            return at
        if self._waits_for_answers():
            self._pending = data[at:] if at else data
            self.flow.hold()
            return at
        self._begin()
        return at

    def _end_of_piece(self, data: bytes, at: int) -> int:
        """Up to where these bytes may be taken apart in one go. Raises Refusal."""
        if self._reading is _Reading.HEAD:
            end = self._meter.end_of_head(data, at)
        elif self._reading is _Reading.SIZED:
            end = min(len(data), at + self._body_left)
            self._body_left -= end - at
            self._patience.received(end - at)
        else:
            end = data.find(END, at, at + MOST_AT_ONCE)
            end = min(len(data), at + MOST_AT_ONCE) if end < 0 else end + len(END)
        if end == at:
            raise Refusal(400, NO_HTTP)
        return end

    def _may_read(self) -> bool:
        """Whether nothing waits that has been read before."""
        if self._pending and self._reading is _Reading.CHUNKED:
            self.loop.call_soon(self._go_on)
        return not self._pending

    def _waits_for_answers(self) -> bool:
        return len(self.pipeline) >= self.guard.limits.read_ahead_requests or self.flow.write_paused

    def _begin(self) -> None:
        self._is_begun = True
        self._meter.begin()
        self._patience.for_head()

    # ------------------------------------------------------------------------------------------ the parser's words

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        if len(self.pipeline) > 2 * self.guard.limits.read_ahead_requests:
            # Its line ends are not those that HTTP has, and so could not be told apart in time.
            raise Refusal(400, "Lines end with CR LF.")
        visitor = self.visitor
        if visitor is not None:
            self.scope["extensions"] = {VISITOR: visitor}  # type: ignore[dict-item]

    def on_header(self, name: bytes, value: bytes) -> None:
        """One more header, or a trailer."""
        if self._reading is not _Reading.HEAD:
            return  # a trailer: the gateway reads none
        if len(self.headers) >= self.guard.limits.headers_count:
            raise Refusal(431, "There are too many headers.")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head of a request is whole: who sends it, and whether there is room for it."""
        visitor = self.visitor
        assert visitor is not None
        head = read_head(self.parser.get_method(), self.url, self.headers)
        self._reading = _Reading.CHUNKED if head.is_chunked else _Reading.SIZED
        self._body_left = head.body_bytes
        visitor.is_busy = True
        self.guard.show(visitor, is_webhook=head.is_webhook)
        if head.is_forwarded:
            self._forwarded(visitor)
        elif visitor.is_proxied:
            self.guard.vacate(visitor)  # the proxy itself asks
        if visitor.room is not Room.YES and not head.is_webhook and not head.is_probe:
            self._fit_in(visitor, is_quick=head.shows_login or self._is_bodiless())
        visitor.room = Room.YES
        self._patience.for_body()
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before and (head.is_chunked or head.body_bytes):
            self.cycle.transport = LastingTransport(self)  # type: ignore[assignment]

    def close_after_body(self) -> None:
        """The last answer is given: the connection ends once the client has sent what it had begun to send."""
        # Complete is the request that is read now, and none ahead of it.
        self._closes_after_body = self._reading is not _Reading.HEAD and self.cycle.response_complete
        if not self._closes_after_body:
            self.transport.close()

    def _is_bodiless(self) -> bool:
        """Whether all of it has been read already."""
        return self._reading is _Reading.SIZED and not self._body_left and not self.parser.should_upgrade()

    def _fit_in(self, visitor: Visitor, *, is_quick: bool) -> None:
        """Its address, or this process, has too many connections. Raises Refusal, if it cannot be answered at once.

        A login is looked at before anything else is waited for, so one that is false is answered at once as well.
        """
        self.guard.settle_again(visitor)
        if visitor.room is Room.NONE or (visitor.room is Room.EXTRA and not is_quick):
            kind = "connections" if visitor.room is Room.NONE else "address_strangers"
            raise Refusal(503, "There are too many connections. Come back in a moment.", kind)

    def _forwarded(self, visitor: Visitor) -> None:
        if not visitor.is_proxied:
            self.guard.forwards_unnamed(visitor.peer)
            return
        origin = self.guard.proxies.origin(visitor.peer, self.headers)
        if origin is None:
            return
        self.guard.move(visitor, origin.address)
        self.scope["client"] = (origin.address, 0)
        if origin.scheme is not None:
            self.scope["scheme"] = origin.scheme

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._meter.count_body(len(body))
        super().on_body(body)
        if self.visitor is not None and self.visitor.stage < Stage.KNOWN and self.cycle.body:
            self.flow.pause_reading()  # until the app asks for it: of strangers there may be many

    def on_message_complete(self) -> None:
        """The request is whole."""
        super().on_message_complete()
        self._reading = _Reading.HEAD
        self._is_begun = False
        if self._closes_after_body:
            self._is_over = True
            self.transport.close()
            return
        visitor = self.visitor
        if visitor is not None and not self._patience.is_for_reader:
            if visitor.is_busy:
                visitor.wait_no_more()
            else:
                self._rest(visitor)

    # ------------------------------------------------------------------------------------------ answers

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        path = cycle.scope["path"]
        if WEBHOOKS in path or path.endswith(PROBES):
            super()._start_asgi_task(cycle, app)
        else:
            self.guard.turns.start(lambda: self._start_in_turn(cycle, app))

    def _start_in_turn(self, cycle: RequestResponseCycle, app: Any) -> None:
        if not cycle.disconnected:
            super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """The next request ahead is answered, or the rest is read."""
        self.server_state.total_requests += 1
        if self.cycle.response_complete:
            self.cycle.body = bytearray()  # the app asks for it no more, and the connection may stay for long
        if self.transport.is_closing():
            return
        visitor = self.visitor
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
        elif self._refusal is not None:
            self._answer_refusal()
            return
        elif visitor is not None:
            visitor.is_busy = False
            if self._reading is not _Reading.HEAD:  # it was answered before its body had come
                self._patience.for_leftovers(LINGER_S)
                self._unread_left = LINGER_BYTES
                if self._body_left > LINGER_BYTES:
                    self._pass_over_the_rest(LINGER_BYTES)
                    return
            elif not self.flow.write_paused:
                self._rest(visitor)
        self._go_on()

    def _rest(self, visitor: Visitor) -> None:
        """Between two requests, unless the next has begun already."""
        self._patience.for_next_request(is_begun=self._is_begun)
        if visitor.is_proxied:
            self.guard.vacate(visitor)

    # ------------------------------------------------------------------------------------------ refusals

    def _refuse(self, refusal: Refusal) -> None:
        """Reads nothing more; the requests before are answered first."""
        self._refusal = refusal
        if self.visitor is not None:
            self.visitor.count(refusal.kind)
        self._pending = b""
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._answer_refusal()
        elif self._reading is _Reading.HEAD:
            self.flow.hold()
        else:  # it is the request being answered whose body does not go on
            cycle.disconnected = True
            cycle.message_event.set()
            if self.pipeline or cycle.response_started:
                self.drop()
            else:
                self._answer_refusal()

    def _answer_refusal(self) -> None:
        assert self._refusal is not None
        self.transport.write(refusal_bytes(self._refusal))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        if self.visitor is not None:
            self.visitor.is_busy = False
            self._patience.for_leftovers(REFUSED_S)
        self._pass_over_the_rest(REFUSED_BYTES)

    def _pass_over_the_rest(self, size: int) -> None:
        """So much of what the client still sends is not taken apart; then the connection ends."""
        self._is_over = True
        self._pending = b""
        self._unread_left = size
        self.flow.let_go()

    def _pass_over(self, size: int) -> None:
        self._unread_left -= size
        if self._unread_left <= 0 and not self.transport.is_closing():
            self._is_over = True
            self.transport.abort()

    def eof_received(self) -> None:
        """A refused client has sent all it had."""
        if self._is_over:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Refuses what is no HTTP."""
        self._refuse(Refusal(400, msg))

    # ------------------------------------------------------------------------------------------ WebSockets

    def handle_websocket_upgrade(self) -> None:
        """Hands the connection over to our WebSocket protocol."""
        visitor = self.visitor
        assert visitor is not None
        if self.cycle is not None and not self.cycle.response_complete:
            self.send_400_response("A WebSocket cannot begin before the requests ahead of it are answered.")
            return
        if (fault := handshake_fault(self.url, self.headers)) is not None:
            self.send_400_response(fault)
            return
        credentials = hash((self.url, *(value for name, value in self.headers if name in LOGINS)))
        if self.guard.is_put_off(visitor, credentials):
            self._refuse(
                Refusal(503, "This login has been refused too often. Come back in a moment.", "sockets")
            )
            return
        self._is_over = True  # of HTTP
        if not issubclass(self.ws_protocol_class, GatewayWebSocketProtocol):  # type: ignore[arg-type]
            visitor.credentials = ""  # whether it is let in is not known of another class's connections
            self.guard.leave(visitor)
            super().handle_websocket_upgrade()
            return
        self.transport.pause_reading()
        self.guard.turns.start(self._upgrade)

    def _upgrade(self) -> None:
        visitor = self.visitor
        if visitor is None or self.transport.is_closing():
            return
        self.connections.discard(self)
        protocol = self.ws_protocol_class(  # type: ignore[call-arg, misc]
            config=self.config, server_state=self.server_state, app_state=self.app_state
        )
        assert isinstance(protocol, GatewayWebSocketProtocol)
        self.transport.set_protocol(protocol)
        self.transport.resume_reading()
        protocol.begin(self.transport, self.scope, self.url, self.headers, visitor)
