"""Who looks at a conversation or writes in it."""
