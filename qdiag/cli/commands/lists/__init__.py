"""Commands that list what the program brings with it."""
