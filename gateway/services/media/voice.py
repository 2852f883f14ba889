"""Voice notes that browsers record: Opus in WebM or MP4 becomes Opus in Ogg, which is what WhatsApp plays.

Nothing is encoded anew: packets move from one container to the other. It takes the extra `voice` (PyAV).
"""

import contextlib
from pathlib import Path
from typing import Any

try:
    import av
except ImportError:  # the extra is not installed
    av = None  # type: ignore[assignment]

IS_POSSIBLE = av is not None
"""Whether recordings can be taken; without it the page offers none."""

CONTAINERS = frozenset({"video/webm", "audio/webm", "video/mp4", "audio/mp4", "video/x-matroska"})
_MOST_PACKETS = 2_000_000


def as_ogg(source: Path, target: Path) -> bool:
    """Writes the sound of a recording as Ogg. False where it is none: it has pictures, or another codec."""
    if av is None:
        return False
    try:
        with av.open(str(source)) as recording:
            sounds = recording.streams.audio
            if (
                len(sounds) != 1
                or recording.streams.video
                or sounds[0].codec_context.name not in ("opus", "libopus")
            ):
                return False
            _remux(recording, sounds[0], target)
    except (av.FFmpegError, ValueError, OSError):
        with contextlib.suppress(OSError):
            target.unlink()
        return False
    return True


def _remux(recording: Any, sound: Any, target: Path) -> None:
    with av.open(str(target), "w", format="ogg") as ogg:
        stream = ogg.add_stream_from_template(sound)
        for number, packet in enumerate(recording.demux(sound)):
            if packet.dts is None or number > _MOST_PACKETS:
                continue
            packet.stream = stream
            ogg.mux(packet)
