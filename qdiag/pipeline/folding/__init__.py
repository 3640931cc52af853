"""`qdiag fold`: BatchNorms and the layers that take them in, clamps and the quantizers that they share."""
