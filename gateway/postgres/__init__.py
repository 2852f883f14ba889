"""Everything that speaks SQL to Postgres."""
