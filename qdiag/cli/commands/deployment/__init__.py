"""Commands that write integer files, and that run them in their runtime."""
