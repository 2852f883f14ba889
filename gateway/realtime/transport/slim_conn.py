"""websockets' side of a connection, without what it makes for logs alone."""

import logging
from uuid import UUID

from uvicorn.config import Config
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.protocol import Side, State
from websockets.server import ServerProtocol
from websockets.streams import StreamReader

_NO_ID = UUID(int=0)
logger = logging.getLogger(__name__)
logger.setLevel(logging.WARNING)


class SlimConn(ServerProtocol):
    """A connection as websockets keeps it, begun without asking the system for randomness."""

    def __init__(self, max_size: int | None) -> None:
        # tests/unit/realtime/test_uvicorn_names.py compares what both set.
        self.id = _NO_ID
        self.logger = logger
        self.debug = False
        self.side = Side.SERVER
        self._state = State.CONNECTING
        self.max_message_size, self.max_fragment_size = max_size, None
        self.current_size = None
        self.expect_continuation_frame = False
        self.origin = self.subprotocol = None
        self.extensions = []
        self.close_rcvd = self.close_sent = self.close_rcvd_then_sent = None
        self.handshake_exc = self.parser_exc = None
        self.eof_sent = False
        self.reader = StreamReader()
        self.events = []
        self.writes = []
        self.parser = self.parse()
        next(self.parser)
        self.origins = self.available_extensions = self.available_subprotocols = None
        self.accept_called = False


def new_conn(config: Config) -> ServerProtocol:
    """What takes the frames of one connection apart, and makes those that answer them."""
    if not config.ws_per_message_deflate:
        return SlimConn(config.ws_max_size)
    deflate = ServerPerMessageDeflateFactory(
        server_max_window_bits=12, client_max_window_bits=12, compress_settings={"memLevel": 5}
    )
    return ServerProtocol(extensions=[deflate], max_size=config.ws_max_size, logger=logger)
