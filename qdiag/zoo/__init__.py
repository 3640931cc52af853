"""Definitions of well-known networks, without weights."""
