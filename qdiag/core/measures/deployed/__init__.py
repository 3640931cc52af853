"""A quantized file that somebody else wrote: what it says, and how it fits the float network."""
