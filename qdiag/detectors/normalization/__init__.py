"""QD3xx: normalization."""
