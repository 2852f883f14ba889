"""The jobs around sessions: reading, changing, reconciling and watching them."""
