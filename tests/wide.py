"""Limits for tests that are a whole office: many people by one name, from one address, faster than people are."""

from gateway.settings import Settings

WIDE = dict.fromkeys(
    (
        "requests_per_s", "sockets", "tickets_per_min", "searches_at_once", "upstream_at_once", "upstream_per_min",
        "address_connections", "address_strangers",
    ),
    100_000,
)  # fmt: skip
"""As settings."""

WIDE_ENV = {str(Settings.model_fields[name].validation_alias): str(value) for name, value in WIDE.items()}
"""The same for a gateway in a process of its own."""
