"""Frames to sockets."""
