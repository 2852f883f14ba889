"""How much one client may ask for, and the rules that need no clock of their own.

Every number has a setting (docs/settings.md); the defaults stand here.
"""

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * 1024

FRAME_BYTES = 8 * KIB
"""A frame counts once more for each of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one process allows."""

    # The head of a request, and of a WebSocket's handshake.
    request_line_kib: int = 16
    headers_kib: int = 32
    headers_count: int = 100
    read_ahead_requests: int = 4

    # How long a client may take.
    headers_s: float = 10.0
    body_s: float = 20.0
    keep_alive_s: float = 75.0
    """Longer than nginx keeps its own connections to us, so that the proxy is the one who closes."""

    # Connections.
    connections: int = 0
    """0: as many as the process may have files open, less those that are kept back."""
    address_connections: int = 1000
    address_strangers: int = 50
    webhook_reserve_percent: int = 5
    webhook_line_s: float = 2.0

    # Memory.
    stranger_bodies_mib: int = 4
    bodies_mib: int = 28
    stranger_body_kib: int = 64
    parse_alone_kib: int = 64
    body_wait_s: float = 5.0
    unread_answers_mib: int = 24

    # One socket.
    frames_per_s: int = 50
    first_frames: int = 2500
    burst_frames: int = 200
    unread_pongs: int = 64
    flood_s: float = 30.0
    subscriptions: int = 2000
    bindings: int = 100
    conditions: int = 200
    patterns: int = 10

    # One person; one address where no login names a person.
    sockets: int = 50
    requests_per_s: int = 50
    searches_at_once: int = 2
    tickets_per_min: int = 30
    tickets_for_others_per_min: int = 1000
    upstream_at_once: int = 1
    upstream_per_min: int = 6
    unused_uploads: int = 200
    unused_uploads_mib: int = 2048


class FrameAllowance:
    """How many frames a socket may send now: many after connecting, later `per_s` with small bursts."""

    __slots__ = ("_at", "_burst", "_left", "_per_s")

    def __init__(self, limits: Limits, now: float) -> None:
        self._per_s = limits.frames_per_s
        self._burst = limits.burst_frames
        self._left = float(limits.first_frames)
        self._at = now

    def left(self, now: float) -> int:
        """Frames that may be sent now; none or less once there were too many."""
        if self._left < self._burst:
            self._left = min(self._burst, self._left + (now - self._at) * self._per_s)
        self._at = now
        return int(self._left)

    def take(self, frames: int) -> None:
        """So many were sent."""
        self._left -= frames


class FrameEnds:
    """Where frames end in the bytes of a client, found by their headers alone (RFC 6455 §5.2)."""

    __slots__ = ("_inside",)

    def __init__(self) -> None:
        self._inside = 0
        """Bytes of the current frame that are still to come."""

    def cut(self, data: bytes, most: int) -> tuple[int, int]:
        """How many bytes may be passed on, and how many frames begin in them: `most` of them at the most.

        A large frame counts as several: what is in it has to be read as well.
        A header that is not whole is not passed on: it comes again with the bytes after it.
        """
        at, size, frames = self._inside, len(data), 0
        while at < size and frames < most:
            if at + 2 > size:
                break
            second = data[at + 1]
            length, header = second & 0x7F, 2
            if length == 126:
                header = 4
            elif length == 127:
                header = 10
            if at + header > size:
                break
            if header > 2:
                length = int.from_bytes(data[at + 2 : at + header], "big")
            at += header + length + (4 if second & 0x80 else 0)
            frames += 1 + length // FRAME_BYTES
        self._inside = max(0, at - size)
        return min(at, size), frames
