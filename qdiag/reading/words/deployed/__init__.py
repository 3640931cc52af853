"""A quantized file that somebody else wrote, in words."""
