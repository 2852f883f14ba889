"""Brings committed changes to the hub, and says when they may be stale."""
