"""Connections to Postgres: the pool, the listener, the readers."""
