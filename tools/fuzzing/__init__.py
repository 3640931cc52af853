"""Mutated files for every reader of qdiag, read in a child process that may crash."""
