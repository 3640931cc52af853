"""Float networks trained from scratch by a small loop, for experiments that begin with a network of their own."""
