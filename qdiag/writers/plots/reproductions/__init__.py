"""The pictures of an experiment of `qdiag reproduce`: means, spreads, and what was published."""
