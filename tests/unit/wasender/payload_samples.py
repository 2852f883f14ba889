"""One webhook per event and shape, documented or observed, each with what it must become.

The table is data, so that the tests of the ingest and of the simulator can send the same bodies. Every body
names its session by `KEY`, as upstream does; expected changes hold no `raw`, which the tests check by itself.
"""

from tests.unit.wasender.payload_parts import Sample
from tests.unit.wasender.payload_samples_later import DELIVERY, IGNORED, SESSION
from tests.unit.wasender.payload_samples_what import CONTENTS, REACTIONS
from tests.unit.wasender.payload_samples_who import CONTAINERS, INSTANTS, PARTIES

EVENTS = (
    "call", "chats.upsert", "chats.update", "chats.delete", "contacts.upsert", "contacts.update",
    "groups.upsert", "groups.update", "group-participants.update", "messages.received",
    "messages-personal.received", "messages-group.received", "messages-newsletter.received",
    "messages.upsert", "messages.update", "messages.delete", "messages.reaction", "message.sent",
    "message-receipt.update",
    "poll.results", "session.status", "qrcode.updated", "passkey.updated",
)  # fmt: skip
"""Every event name upstream has."""

SAMPLES: list[Sample] = CONTAINERS + PARTIES + INSTANTS + CONTENTS + DELIVERY + REACTIONS + SESSION + IGNORED
