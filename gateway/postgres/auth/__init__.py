"""Tables of people, their logins, and what was revoked."""
