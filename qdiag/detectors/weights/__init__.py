"""QD1xx: weights and biases."""
