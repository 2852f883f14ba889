"""The jobs of the gateway. They know asyncio, and nothing of HTTP, SQL or WebSockets."""
