"""Whether a folder outlives the machine's power."""

import os
from pathlib import Path

_IN_MEMORY = {"tmpfs", "ramfs"}


def memory_of(folder: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str | None:
    """Name of the file system if what is written to that folder stays in memory; the folder need not exist yet."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    device = os.stat(place).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return None  # not Linux: nobody to ask
    for line in lines:
        # proc(5): mount id, parent id, major:minor, … optional fields, a hyphen, then the type of the file system.
        fields, _, rest = line.partition(" - ")
        kind = rest.partition(" ")[0]
        if fields.split()[2] == wanted and kind in _IN_MEMORY:
            return kind
    return None
