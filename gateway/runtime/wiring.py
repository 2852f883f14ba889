"""Who hears what: each signal, and the parts above the one that raises it."""

from gateway.runtime.access import Access
from gateway.runtime.live import Live
from gateway.runtime.media import Media
from gateway.runtime.observation import Observation
from gateway.runtime.services import Services
from gateway.runtime.websockets import WebSockets
from gateway.services.signals import Signals


def connect(
    signals: Signals,
    live: Live,
    access: Access,
    media: Media,
    services: Services,
    websockets: WebSockets,
    observation: Observation,
) -> None:
    """Connects every signal. What one line names is called in that order."""
    _connect_notifications(signals, live, access, media, services, observation)
    _connect_losses(signals, live, services, websockets)
    _connect_changes(signals, live, services, websockets)


def _connect_notifications(
    signals: Signals, live: Live, access: Access, media: Media, services: Services, observation: Observation
) -> None:
    """What a notification of Postgres has named."""
    signals.left_unnumbered.connect(live.numbering.notify)
    signals.inboxes_moved.connect(live.feed.notify, signals.rows_moved)
    signals.written_by.connect(live.own_writes.heard, lambda payload, writer: signals.rows_moved(payload))
    signals.rows_moved.connect(live.conversation_list.notify, services.contacts.notify)
    signals.rows_moved.connect(media.media_fetcher.notify)
    signals.rows_moved.connect(services.sending.inboxes_moved, services.sql_intake.inboxes_moved)
    signals.rows_moved.connect(services.webhook_delivery.notify)
    signals.queues_moved.connect(services.sending.notify)
    signals.presence_moved.connect(live.presence.notify)
    signals.sessions_moved.connect(live.states.notify, services.webhook_delivery.notify)
    signals.sessions_moved.connect(observation.alerts.notify)
    signals.targets_moved.connect(services.webhook_delivery.targets_changed)
    signals.keys_moved.connect(services.authenticator.notify)
    signals.access_moved.connect(access.revocations.notify)


def _connect_losses(signals: Signals, live: Live, services: Services, websockets: WebSockets) -> None:
    """What becomes of the listening connection and its leases, and what clients are told of that."""
    signals.listening.connect(live.own_writes.forget, services.linking.look_now)
    signals.schema_served_from.connect(live.compatibility.heard)
    signals.leases_renewed.connect(services.sending.on_renewed)
    signals.cut_off.connect(services.linking.on_leases_lost, services.sending.on_leases_lost)
    signals.cut_off.connect(services.webhook_delivery.on_leases_lost)
    signals.cut_off.connect(live.staleness.mark_stale)
    signals.read_failed.connect(live.staleness.mark_stale)
    signals.stale.connect(websockets.native.tell_stale, websockets.supabase.tell_stale)
    signals.fresh.connect(websockets.native.tell_fresh, websockets.supabase.tell_fresh)


def _connect_changes(signals: Signals, live: Live, services: Services, websockets: WebSockets) -> None:
    """What parts of this gateway have done, read or found."""
    signals.write_began.connect(live.own_writes.begin)
    signals.write_ended.connect(live.own_writes.end)
    signals.keys_written.connect(services.authenticator.forget, services.sending.keys_changed)
    signals.webhook_repaired.connect(services.refused_webhooks.taken)
    signals.access_changed.connect(websockets.connections.recheck)
    signals.presence_changed.connect(websockets.native.tell_presence)
    signals.inbox_followed.connect(live.feed.attend)
    signals.list_behind.connect(live.conversation_list.notify)
    signals.session_changed.connect(services.linking.show, services.sending.session_changed)
    signals.session_reported.connect(services.linking.on_report, services.status_hints.on_report)
