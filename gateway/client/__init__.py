"""A Python client of the gateway's WebSocket: it comes back by itself, resumes where it stood, and drops doubles.

    async with connect("https://gateway.example.com", token=token) as client:
        async for item in client.inbox("12", after=position):
            match item:
                case Event():
                    print(item.name, item.data)
                case Reset():
                    reload(item.inbox)  # by REST; events go on from item.position

One client is one connection, however many topics it follows. A reader that falls behind costs bounded memory and
loses nothing: its topic is left and taken up again where it stood.
"""

from gateway.client.client import Client, Status, connect
from gateway.client.errors import ClientError, Closed, Refused
from gateway.client.items import Event, Live, Position, Reset, Snapshot, State
from gateway.client.subscription import Inbox, States

__all__ = [
    "Client",
    "ClientError",
    "Closed",
    "Event",
    "Inbox",
    "Live",
    "Position",
    "Refused",
    "Reset",
    "Snapshot",
    "State",
    "States",
    "Status",
    "connect",
]
