"""Number formats as plain values: what a format can represent, whoever computes with it."""
