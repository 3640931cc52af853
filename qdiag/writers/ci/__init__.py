"""Results in the formats of CI systems."""
