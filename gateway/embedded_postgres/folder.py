"""Where the embedded Postgres, and all else that a gateway keeps, is found."""

import os
from pathlib import Path


def default_data_dir() -> Path:
    """Where the gateway keeps its data unless told otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/whatsapp-gateway")
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "whatsapp-gateway"
