"""Answers to customers, from a request to the customer's phone."""
