"""Holds stored results against limits: pure functions from values to values, without torch."""
