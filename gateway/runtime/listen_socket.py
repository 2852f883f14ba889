"""The port that is served."""

import errno
import socket
import sys

from gateway.domain.errors import ConfigError

UNSENT_BYTES = 128 * 1024
"""What the kernel may keep of one connection beside what is on its way. Without this limit it takes 4 MB from us for a
client that reads nothing, where our own write limit does not see it."""

_NOTSENT_LOWAT = {"linux": 25, "darwin": 0x201}.get(sys.platform)
"""TCP_NOTSENT_LOWAT; the module `socket` names it from Python 3.12 on."""


def bind(host: str, port: int) -> socket.socket:
    """A bound socket, before anything slow has started. Raises ConfigError if the port is not to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio switches Nagle's algorithm off; without it, every answer on a
    # kept connection waits 40 ms for the peer's delayed acknowledgement.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if _NOTSENT_LOWAT is not None:
            # Accepted connections take it over from the listening socket.
            sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, UNSENT_BYTES)
        sock.bind((host, port))
        # Listening now makes a second gateway fail here, and lets early callers wait instead of being refused.
        sock.listen(2048)
    except (OSError, OverflowError) as error:
        sock.close()
        number = getattr(error, "errno", None)
        if number == errno.EADDRINUSE:
            raise ConfigError(
                f"Port {port} is in use. End what uses it, or choose another with --port."
            ) from None
        raise ConfigError(f"{host}:{port} cannot be opened ({error}). Check --host and --port.") from None
    sock.setblocking(False)
    return sock


def address_of(sock: socket.socket) -> str:
    """The bound socket as a web address on this machine, without a slash at its end."""
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
