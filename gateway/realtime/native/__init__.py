"""The gateway's own WebSocket protocol."""
