"""Everything that speaks WasenderAPI: its client, its payloads, its webhooks, our stand-in for it."""
