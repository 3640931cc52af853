"""Plain values; the standard library only."""
