"""Runs over the graph."""
