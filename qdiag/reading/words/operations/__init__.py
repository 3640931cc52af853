"""Sentences on the operations of a network."""
