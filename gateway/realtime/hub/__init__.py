"""Topics, fan-out, the tail in memory, and catching up."""
