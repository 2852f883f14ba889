"""How much of a request has come: its first line, its headers, what stands around the pieces of its body."""

from gateway.domain.limits import KIB, Limits
from gateway.realtime.transport.refusal import Refusal

END = b"\r\n\r\n"
"""Where a head may end, or a body in chunks."""

BLANK_BYTES = KIB

CHUNK_FRAMING_BYTES = 16
"""What a chunk's size line and line ends may take without counting as framing in excess."""


class RequestMeter:
    """Holds what comes against the limits, before it is taken apart."""

    __slots__ = ("_blank", "_chunks", "_fields", "_framing", "_has_line", "_headers_most", "_line", "_line_most",
                 "body_now")  # fmt: skip

    def __init__(self, limits: Limits) -> None:
        self._line_most = limits.request_line_kib * KIB + len(b"\r\n")
        self._headers_most = limits.headers_kib * KIB
        self._blank = self._chunks = 0
        self.body_now = 0
        """Bytes of the body in the piece that is taken apart."""
        self.begin()

    def begin(self) -> None:
        """A request begins."""
        self._has_line = False
        self._line = self._fields = self._framing = self._blank = 0

    def skip_blank(self, data: bytes, at: int) -> int:
        """Where the request begins after line ends, which the parser passes over as well. Raises Refusal."""
        if data[at] not in b"\r\n":
            return at
        begin = len(data) - len(data[at:].lstrip(b"\r\n"))
        self._blank += begin - at
        if self._blank > BLANK_BYTES:
            raise Refusal(400, "A request begins with its first line.")
        return begin

    def end_of_head(self, data: bytes, at: int) -> int:
        """Up to where the head in these bytes may be taken apart. Raises Refusal when it is too large."""
        found = data.find(END, at)
        end = len(data) if found < 0 else found + len(END)
        begin = at
        if not self._has_line:
            line_end = data.find(b"\n", at, end)
            self._has_line = line_end >= 0
            begin = line_end + 1 if self._has_line else end
            self._line += begin - at
            if self._line > self._line_most:
                raise Refusal(414, "The request line is too long.")
        self._fields += end - begin
        if self._fields > self._headers_most + len(END):
            raise Refusal(431, "The headers are too large.")
        return end

    def count_body(self, size: int) -> None:
        """A piece of the body was found."""
        self.body_now += size
        self._chunks += 1

    def count_chunks(self, size: int) -> int:
        """So many bytes of a body in chunks were taken apart; says how many were the body's own. Raises Refusal."""
        body, chunks = self.body_now, self._chunks
        self.body_now = self._chunks = 0
        framing = size - body - CHUNK_FRAMING_BYTES * chunks
        self._framing = max(0, framing) if chunks else self._framing + framing
        if self._framing > self._headers_most:
            raise Refusal(431, "The trailers are too large.")
        return body
