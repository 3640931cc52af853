"""Training with the quantizers in place: what no repair without training recovers."""
