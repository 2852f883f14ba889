"""The simulator, tested through a real server on loopback."""
