"""What brings committed changes to browsers, and says when it cannot."""

from contextlib import AsyncExitStack

from gateway import __version__
from gateway.postgres.connection.listener import Listener, ListenerSettings
from gateway.postgres.presence.presence import PresenceTable
from gateway.realtime.hub.hub import Hub
from gateway.realtime.native import protocol
from gateway.runtime.context import BuildContext
from gateway.runtime.repositories import Repositories
from gateway.services.live.compatibility import Compatibility
from gateway.services.live.conversation_list import ConversationList
from gateway.services.live.feed import Feed
from gateway.services.live.idle import Waker
from gateway.services.live.numbering import Numbering
from gateway.services.live.own_writes import OwnWrites
from gateway.services.live.session_states import SessionStates
from gateway.services.live.staleness import Staleness
from gateway.services.live.state_publisher import StatePublisher
from gateway.services.live.state_values import CodePictures, StateValues
from gateway.services.live.tail_source import Announcements
from gateway.services.live.trigger_check import TriggerCheck
from gateway.services.live.write_age import WriteAge
from gateway.services.presence.presence import Presence
from gateway.wasender import qr


class Live:
    """From the listening connection to the hub."""

    def __init__(self, context: BuildContext, dsn: str, repositories: Repositories) -> None:
        """`dsn` is the address for the listening connection."""
        settings, signals, timings = context.settings, context.signals, context.timings
        self.listener = Listener(dsn, signals, _listener_settings(context))
        announcements: Announcements = self.listener
        self.awake = awake = self.listener.awake
        self.compatibility = Compatibility(__version__)
        self.hub = Hub(
            protocol.event_encoder(settings.zone),
            on_followed=signals.inbox_followed,
            on_written=WriteAge(repositories.clock.now).written,
        )
        self.feed = Feed(
            repositories.live_streams,
            self.hub,
            on_failure=signals.read_failed,
            tick_s=timings.tick_s,
            awake=awake,
        )
        self.own_writes = OwnWrites(self.feed.publish_own, self.feed.notify)
        self.state_values = StateValues(CodePictures(qr.svg_data_url))
        self.states = SessionStates(
            repositories.sessions,
            StatePublisher(self.hub, self.state_values),
            on_change=signals.session_changed,
            on_failure=signals.read_failed,
            tick_s=timings.tick_s,
            awake=awake,
        )
        self.staleness = Staleness(
            (self.feed, self.states),
            is_cut_off=announcements.is_cut_off,
            tell_stale=signals.stale,
            tell_fresh=signals.fresh,
        )
        self.waker = Waker(
            self.listener, catch_up=self.staleness.catch_up, on_lost=signals.cut_off, wake_s=timings.wake_s
        )
        self._make_others(context, repositories)

    def _make_others(self, context: BuildContext, repositories: Repositories) -> None:
        """What goes on beside the feed."""
        awake = self.awake
        self.presence = Presence(
            PresenceTable(repositories.pool),
            context.gateway_id,
            has_pages=lambda: bool(self.hub.connections),
            on_change=context.signals.presence_changed,
        )
        self.numbering = Numbering(repositories.unnumbered, awake=awake)
        self.triggers = TriggerCheck(repositories.triggers, awake=awake)
        self.conversation_list = ConversationList(repositories.conversation_list, awake=awake)

    async def open(self, stack: AsyncExitStack) -> None:
        """Listens, and learns where everything stands. Raises ConfigError, StoreUnavailable."""
        stack.push_async_callback(self.listener.close)
        await self.listener.open()
        await self.feed.open()
        await self.states.open()


def _listener_settings(context: BuildContext) -> ListenerSettings:
    settings, timings = context.settings, context.timings
    return ListenerSettings(
        context.gateway_id,
        settings.timezone,
        settings.probe_s,
        heartbeat_s=timings.listener_heartbeat_s,
        statement_s=timings.listener_statement_s,
    )
