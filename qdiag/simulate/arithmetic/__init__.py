"""How a backend computes a layer."""
