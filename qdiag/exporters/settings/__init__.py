"""A plan in the words of other quantizers: which layers they leave in float, and how they quantize the others."""
