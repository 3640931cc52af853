"""Parallel linear branches that a sum joins: found in any graph, and written as one convolution."""
