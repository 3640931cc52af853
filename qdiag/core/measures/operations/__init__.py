"""What operations a network has: the result of `qdiag check`."""
