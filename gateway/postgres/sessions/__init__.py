"""SQL of sessions, their attempts to link, their audit log and their secrets."""
