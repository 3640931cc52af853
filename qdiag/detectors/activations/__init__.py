"""QD2xx: activations."""
