"""How long sockets of both dialects wait, and what waits for them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketPace:
    """Seconds that no setting says; tests make them shorter."""

    first_frame_s: float = 5.0
    """For the first frame, when nothing else said who is calling."""

    progress_s: float = 60.0
    """A client that takes nothing of what waits for it for so long is cut off."""

    retry_s: float = 1.0
    """Between two tries to catch up from a store that is away."""

    order_s: float = 15.0
    """How long a moved row waits for the inbox that it left: an order that cannot be had must silence no inbox."""

    tables_s: float = 5.0
    """Between two questions for a table or column that some channel of Supabase's dialect waits for."""


USUAL_PACE = SocketPace()
