"""SQL that writes webhooks and their journal."""
