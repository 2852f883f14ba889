"""Webhooks waiting for Postgres, kept on this machine's disk."""
