"""Brings a database to the schema of sql/."""
