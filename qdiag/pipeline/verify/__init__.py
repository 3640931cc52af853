"""`qdiag verify`: a network in float, simulated, and deployed in its runtime."""
