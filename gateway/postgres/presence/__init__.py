"""Presence in Postgres."""
