"""What `qdiag reproduce` measured, what was published, and what was expected of it."""
