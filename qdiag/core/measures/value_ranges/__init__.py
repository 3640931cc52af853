"""Where values lie: what `qdiag ranges` measured, and the ranges that are stored in a network."""
