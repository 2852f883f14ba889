"""Webhooks out: targets, and what delivers to them."""
