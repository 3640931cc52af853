"""Commands that draw a stored diagnosis, and that open what was drawn."""
