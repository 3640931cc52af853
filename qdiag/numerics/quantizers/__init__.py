"""Number formats as values, one file each."""
