"""QD4xx: the graph."""
