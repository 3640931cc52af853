"""Where values lie: what `qdiag ranges` measured, and ranges that a network brought along."""
