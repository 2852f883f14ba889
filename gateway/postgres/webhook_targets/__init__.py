"""Webhooks out: targets and their deliveries."""
