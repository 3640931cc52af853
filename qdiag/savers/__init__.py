"""Model files written back in the format that they were read in, with some of their tensors replaced."""
