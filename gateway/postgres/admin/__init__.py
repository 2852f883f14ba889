"""What operators look at, in Postgres."""
