"""Templates in Postgres."""
