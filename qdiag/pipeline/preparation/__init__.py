"""From what was read to a network that can be run, checked against the original, and batches that fit it."""
