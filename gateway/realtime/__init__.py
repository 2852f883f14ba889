"""Everything that speaks WebSocket."""
