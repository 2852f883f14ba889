"""Messages on their way out, in the shop's table."""
