"""What was tried for a suspect, in words."""
