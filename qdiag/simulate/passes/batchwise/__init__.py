"""A pass over all batches, whoever takes them."""
