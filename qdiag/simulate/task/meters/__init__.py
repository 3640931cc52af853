"""A metric that only an object can compute: over all samples, and without each group of them."""
