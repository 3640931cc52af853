"""Runs the graph: calibration, the paired pass, the task."""
