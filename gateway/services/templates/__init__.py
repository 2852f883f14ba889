"""Texts and files that a shop sends again and again."""
