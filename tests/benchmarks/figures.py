"""What is measured: rows of one table, and how large a run is."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tests.benchmarks.gateways import Ground


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured. `--quick` shows that everything works; its figures mean little."""

    rounds: int = 5
    connections: int = 1000
    growth: tuple[int, ...] = (100, 1000, 5000, 9000)
    crowd: int = 10_000
    messages: int = 30
    """Per round, to every connection."""
    idle_connections: int = 5000
    idle_s: float = 10.0
    senders: int = 64
    webhooks: int = 4000
    """Per round."""
    stream_s: float = 4.0
    """Per round, of a steady stream of messages."""
    rows: int = 1000
    """Per round, one by one."""
    lone: int = 100
    """Webhooks per round, each alone."""
    connecting: int = 9500
    sessions: int = 10_000
    mute: int = 50
    mute_messages: int = 8000
    sends: int = 100
    """Per round."""
    queued: int = 100_000
    queue_idle_s: float = 65.0
    """Longer than a sender that waits looks away."""
    gateways: tuple[int, ...] = (1, 2, 4)
    """On one database."""
    stored: int = 1_000_000
    stored_inboxes: int = 1000


QUICK = Size(
    rounds=1,
    connections=20,
    growth=(10, 20),
    crowd=30,
    messages=3,
    idle_connections=20,
    idle_s=1.0,
    senders=4,
    webhooks=20,
    stream_s=0.5,
    rows=20,
    lone=5,
    connecting=40,
    sessions=20,
    mute=3,
    mute_messages=100,
    sends=3,
    queued=500,
    queue_idle_s=1.0,
    gateways=(1, 2),
    stored=2000,
    stored_inboxes=20,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `is_met` is None where there is no target."""

    part: str
    name: str
    value: float
    unit: str
    target: str = ""
    is_met: bool | None = None
    note: str = ""


@dataclass
class Run:
    """One run of the whole or of some parts."""

    ground: Ground
    size: Size
    say: Callable[[str], None]
    rows: list[Row] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    """Peers that are not here, and what would bring them."""
    floor_us: float | None = None
    """`os.write` per delivery, in this run."""

    def add(
        self,
        part: str,
        name: str,
        value: float,
        unit: str,
        target: str = "",
        *,
        is_met: bool | None = None,
        note: str = "",
    ) -> None:
        row = Row(part, name, value, unit, target, is_met, note)
        self.rows.append(row)
        self.say(f"  {name}: {value:.4g} {unit}" + (f" ({note})" if note else ""))
