"""Folded BatchNorms and shared quantizers in words."""
