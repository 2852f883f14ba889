"""Erasing a person: everywhere at once, and what comes late."""
