"""Results as CSV."""
