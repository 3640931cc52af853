"""Pieces of tensors that stay in the cache: what is done to every value of them."""
