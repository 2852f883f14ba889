"""A backup as a file: sealed by a passphrase, written and read in one stream."""
