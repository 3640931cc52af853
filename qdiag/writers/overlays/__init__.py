"""Figures of layers for other viewers of networks."""
