"""The shop's own identity provider: where its public keys come from."""
