"""Contacts of the linked numbers: one person is one conversation, with a name."""
