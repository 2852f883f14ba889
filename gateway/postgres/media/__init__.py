"""Files of messages in Postgres: their states, and the work left to do."""
