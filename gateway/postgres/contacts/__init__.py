"""SQL of contacts: who is behind an address, what they are called, and which conversation is theirs."""
