"""Quantized files read: the float network inside them, and what they say of its tensors."""
