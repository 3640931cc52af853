"""QD9xx: numerics."""
