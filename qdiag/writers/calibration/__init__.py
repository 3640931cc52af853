"""Ranges as the calibration caches that runtimes read."""
