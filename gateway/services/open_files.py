"""How many files this process may have open: each connection is one."""

import resource

KEPT_BACK = 128
"""Files that no connection takes: Postgres' connections, the spool, media, and what is accepted and closed at once."""

MOST_FILES = 1_048_576


def raise_open_files() -> int:
    """Lets this process, and those it starts, have as many files open as the system allows; says how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return most
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (ValueError, OSError):
        return soft
    return most


def open_files() -> int:
    """How many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_FILES if soft == resource.RLIM_INFINITY else min(soft, MOST_FILES)


def connections_of(files: int) -> int:
    """How many connections fit into so many files."""
    return max(8, files - min(KEPT_BACK, files // 4))
