"""What the endpoints of both dialects stand on."""

from dataclasses import dataclass

from gateway.realtime.connections import Connections
from gateway.realtime.hub.hub import Hub
from gateway.realtime.pace import USUAL_PACE, SocketPace
from gateway.services.auth.origins import Origins
from gateway.services.live.feed import Feed, StalenessView
from gateway.services.live.tail_source import StreamReader
from gateway.services.presence.presence import Presence


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointContext:
    """One hub, one feed and one set of connections for every socket of the process."""

    hub: Hub
    feed: Feed
    streams: StreamReader
    """For pages of catching up, shared by those who ask for the same."""

    staleness: StalenessView
    connections: Connections
    presence: Presence
    origins: Origins
    """Pages that may connect."""

    pace: SocketPace = USUAL_PACE
