"""QD5xx: calibration data."""
