"""Who may come in, without a network and without a database."""
