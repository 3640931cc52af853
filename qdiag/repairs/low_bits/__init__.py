"""Repairs of layers with one or two bits."""
