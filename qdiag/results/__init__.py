"""Results in Python: read, shown, compared and gated, without a model and without torch."""
