"""Changes of a captured graph after which it computes the same."""
