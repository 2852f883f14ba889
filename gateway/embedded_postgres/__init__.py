"""A private Postgres server from the wheel. It knows nothing of the gateway."""
