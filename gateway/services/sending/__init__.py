"""Sending: one sender per session in the cluster, each message once."""
