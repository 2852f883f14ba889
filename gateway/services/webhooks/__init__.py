"""Takes webhooks, commits them in batches, and replays what waited on disk."""
