"""Realtime gateway between WasenderAPI, Postgres and browsers."""

__version__ = "0.1.0"
