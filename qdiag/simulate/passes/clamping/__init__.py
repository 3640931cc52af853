"""Clamps that an operation does itself, and where its sums cannot be NaN."""
