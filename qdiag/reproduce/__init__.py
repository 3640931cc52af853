"""Small versions of published experiments, trained and measured here: `qdiag reproduce`."""
