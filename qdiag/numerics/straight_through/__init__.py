"""Derivatives for what has none: rounding and signs, whose own derivative is 0 almost everywhere."""
