"""Runtimes that compute a quantized file with integers: they run it, and hand out every integer tensor."""
