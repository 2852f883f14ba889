"""SQL of conversations and their messages."""
