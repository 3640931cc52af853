"""`qdiag export`: the repaired plan as a file of integers, and what its runtime makes of it."""
