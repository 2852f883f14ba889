"""What a backup and a restore ask of a database before and after its dump."""
