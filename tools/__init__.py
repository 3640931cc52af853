"""Programs for those who work on qdiag."""
