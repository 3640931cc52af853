"""Somebody else's quantized file beside the float network that it was made from."""
