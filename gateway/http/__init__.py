"""Everything that speaks REST."""
